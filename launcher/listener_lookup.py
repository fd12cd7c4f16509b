"""Asks the kernel whether anybody listens at an address, without a connection that an app would see: sock_diag(7).

One request and one answer on a netlink socket, 5 µs, so it can be asked often; connecting would make the app
accept. The lookup is the kernel's own for a connection that arrives: wildcard and dual-stack listeners count.
"""

from __future__ import annotations

import errno
import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h; the answer has the same type
_NLMSG_ERROR = 2
_NLM_F_REQUEST = 1
_LISTEN = 10  # TCP_LISTEN, linux/tcp_states.h
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI")  # inet_diag_req_v2: family, protocol, extensions, states; then an inet_diag_sockid
_SOCKET_ID = struct.Struct("!HH16s16s4s8s")  # ports and addresses of both ends, interface, cookie
_NO_COOKIE = b"\xff" * 8  # INET_DIAG_NOCOOKIE: whatever socket is there now


class ListenerLookup:
    """Asks about one TCP address, as often as wanted. Raises OSError where the kernel has no sock_diag."""

    def __init__(self, family: socket.AddressFamily, host: str, port: int) -> None:
        packed = socket.inet_pton(family, host).ljust(16, b"\0")
        wanted = _SOCKET_ID.pack(port, 0, packed, bytes(16), bytes(4), _NO_COOKIE)
        body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _LISTEN) + wanted
        length = _HEADER.size + len(body)
        self._request = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + body
        if not hasattr(socket, "AF_NETLINK"):
            raise OSError(errno.EAFNOSUPPORT, "only Linux has sock_diag")
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
        self._socket.setblocking(False)  # the kernel answers within the request

    def close(self) -> None:
        self._socket.close()

    def is_listening(self) -> bool:
        """Whether somebody listens there now. Raises OSError."""
        self._socket.send(self._request)
        answer = self._socket.recv(4096)
        kind = _HEADER.unpack_from(answer)[1]
        if kind != _NLMSG_ERROR:
            return answer[_HEADER.size + 1] == _LISTEN  # inet_diag_msg: family, state
        code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if code != errno.ENOENT:
            raise OSError(code, "sock_diag")
        return False
