"""PDF files made on the spot, byte by byte."""


def pdf(*pages: str | None, title: str = "Le titre") -> bytes:
    """One page a text (Latin-1), or a page with a drawing and no text for None."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for index, text in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * index} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(_stream(text))
    objects.append(f"<< /Title ({title}) /Author (Anne Dupont) >>".encode("latin-1"))
    return _file(objects)


def _stream(text: str | None) -> bytes:
    if text is None:
        drawing = b"0 0 m 100 100 l S"
    else:
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        drawing = f"BT /F1 12 Tf 72 720 Td {lines}ET".encode("latin-1")
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing)


def _file(objects: list[bytes]) -> bytes:
    data, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return data + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, table, len(objects) + 1, len(objects), len(data))
    )
