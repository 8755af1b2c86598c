"""TLS for tests: a small CA, clients, origins.

Ca makes certificates with openssl(1) that are good for days, and of RSA where
that is wanted; certs.py has one with all that an authority does. TlsClient is a
Client inside of TLS, TlsOrigin an HttpOrigin.

SPDX-License-Identifier: MIT
"""
import os
import ssl

from case import later, put, temp_dir
from certs import Pair, client_context, openssl, server_context
from web import HttpOrigin
from wire import Client, Wire, dial


def _pair(stem):
    return Pair(os.path.join(temp_dir(), stem))


class Ca(Pair):
    """A CA of its own; its certificates are believed where .crt is."""

    count = 0

    def __init__(self, name="Test CA"):
        Ca.count += 1
        super().__init__(os.path.join(temp_dir(), "ca%d" % Ca.count))
        self.made = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                "-out", self.crt, "-days", "30", "-subj", "/CN=" + name)

    def cert(self, name, san=None, days=30, rsa=False):
        """days below 0: has expired. san: "DNS:a.test,IP:127.0.0.1"; without
        it, DNS:name."""
        self.made += 1
        stem = "%s-%d" % (os.path.basename(self.crt)[:-4], self.made)
        c = _pair(stem)
        kind = ["rsa:2048"] if rsa else ["ec", "-pkeyopt",
                                         "ec_paramgen_curve:P-256"]
        openssl("req", "-new", "-newkey", *kind, "-nodes", "-keyout", c.key,
                "-out", stem + ".csr", "-subj", "/CN=" + name)
        put(stem + ".ext", "subjectAltName = %s\n" % (san or "DNS:" + name))
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", self.crt,
                "-CAkey", self.key, "-out", c.crt, "-days", str(days),
                "-set_serial", str(1000 + self.made), "-extfile",
                stem + ".ext")
        return c

    def crl(self, *revoked):
        """A list of those that it has revoked; its path."""
        self.made += 1
        stem = "crl-%s-%d" % (os.path.basename(self.crt)[:-4], self.made)
        put(stem + ".txt", "".join(
            "R\t350101000000Z\t240101000000Z\t%s\tunknown\t/CN=x\n" %
            openssl("x509", "-in", c.crt, "-noout",
                    "-serial").decode().strip().partition("=")[2]
            for c in revoked))
        put(stem + ".cnf", "[ca]\ndefault_ca = d\n[d]\ndatabase = %s.txt\n"
            "default_md = sha256\ndefault_crl_days = 9\n" % stem)
        openssl("ca", "-gencrl", "-config", stem + ".cnf", "-cert", self.crt,
                "-keyfile", self.key, "-out", stem + ".pem")
        return os.path.join(temp_dir(), stem + ".pem")


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
