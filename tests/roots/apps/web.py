def application(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi %s %s %d\n" % (environ["REQUEST_METHOD"].encode(), environ["PATH_INFO"].encode(), len(body))]
