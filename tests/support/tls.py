"""TLS for tests: a CA (certs.py) that counts in days, clients, origins.

TlsClient is a Client inside of TLS, TlsOrigin an HttpOrigin.

SPDX-License-Identifier: MIT
"""
import ssl
import time

from case import later, put
from certs import NOW, Authority, client_context, openssl, server_context
from web import HttpOrigin
from wire import Client, Wire, dial


class Ca(Authority):
    """One whose certificates are good for days. `.crt`, as of a Pair."""

    @property
    def crt(self):
        return self.file

    def cert(self, name, san=None, days=30, rsa=False):
        """days below 0: has expired. san: "DNS:a.test,IP:127.0.0.1"; without
        it, DNS:name."""
        end = time.strftime("%Y%m%d%H%M%SZ",
                            time.gmtime(time.time() + days * 86400))
        return self.make("/CN=" + name, (san or "DNS:" + name).split(","),
                         (NOW[0], end), rsa=rsa)

    def crl(self, *revoked):
        """With these in it, and those that were before."""
        for pair in revoked:
            self.revoke(pair)
        return super().crl()


class TlsClient(Client):
    """Connects and shakes hands; raises ssl.SSLError when that fails."""

    def __init__(self, address, context=None, name=None, session=None):
        raw = dial(address)
        try:
            sock = (context or client_context()).wrap_socket(
                raw, server_hostname=name, session=session)
        except BaseException:
            raw.close()
            raise
        Wire.__init__(self, sock)
        later(self.close)

    def names(self):
        """The DNS names of the certificate that was shown, in order."""
        put("shown.der", self.sock.getpeercert(True))
        said = openssl("x509", "-inform", "DER", "-in", "shown.der",
                       "-noout", "-ext", "subjectAltName").decode()
        return [w.strip()[4:] for w in said.replace("\n", ",").split(",")
                if w.strip().startswith("DNS:")]


class TlsOrigin(HttpOrigin):
    """Shows cert; clients: the Ca that clients' certificates are of."""

    def __init__(self, cert, clients=None, **more):
        self.context = server_context(cert, clients)
        self.asked = []         # names by SNI
        self.context.sni_callback = lambda s, name, c: self.asked.append(name)
        self.resumed = 0
        super().__init__(**more)

    def _converse(self, link):
        try:
            link.sock = self.context.wrap_socket(link.sock, server_side=True)
        except (ssl.SSLError, OSError):
            return
        with self.lock:
            self.resumed += link.sock.session_reused
        super()._converse(link)
