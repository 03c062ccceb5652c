"""A bucket of as many keys as one likes, for listings only: an S3 server that makes up the pages of
ListObjects, both versions of it. It checks no signature, and keeps nothing."""
import http.server
import urllib.parse

PAGE = 1000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    keys = 0

    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        prefix = query.get("prefix", "")
        after = query.get("continuation-token") or query.get("start-after") or query.get("marker")
        begin = int(after.rpartition("-")[2]) + 1 if after else 0
        end = min(begin + PAGE, self.keys)
        last = name(prefix, end - 1)
        is_cut = end < self.keys
        body = "".join((
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>',
            f"<Prefix>{prefix}</Prefix><MaxKeys>{PAGE}</MaxKeys><KeyCount>{end - begin}</KeyCount>",
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>",
            f"<NextContinuationToken>{last}</NextContinuationToken><NextMarker>{last}</NextMarker>"
            if is_cut else "",
            *(f"<Contents><Key>{name(prefix, i)}</Key>"
              "<LastModified>2026-01-02T03:04:05.678Z</LastModified>"
              "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>4096</Size>"
              "<StorageClass>STANDARD</StorageClass></Contents>" for i in range(begin, end)),
            "</ListBucketResult>")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def name(prefix, i):
    return f"{prefix}events/2026/01/02/part-{i:08}"


def serve(keys, port_pipe):
    """For a process of its own, which is ended by a signal; sends its port."""
    Handler.keys = keys
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port_pipe.send(server.server_port)
    server.serve_forever()
