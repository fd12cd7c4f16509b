run lambda { |env|
  body = env["rack.input"].read
  [200, { "content-type" => "text/plain" }, ["rack #{env["REQUEST_METHOD"]} #{env["PATH_INFO"]} #{body.bytesize}\n"]]
}
