"""CT series drawn by program, and a server that serves them as the public bucket does."""

import hashlib
import io
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from lung_attention.config import Rebuild
from lung_attention.data.sources.collection import CtSeries

BUCKET = "idc-open-data"


def settings(**nodules):
    """How archives are cut; the crops are small ones."""
    crops = {"min_readers": 3, "benign_at_most": 2.5, "malignant_at_least": 3.5, "max_patients": None}
    crops |= {"size_mm": 8.0, "size_px": 16, "slices": 3}
    return Rebuild.model_validate({"level_hu": -600.0, "width_hu": 1500.0, "nodules": crops | nodules})


# HU and grey in the window of level -600 and width 1500, worked out by hand from PS3.3 C.11.2.1.2.1:
# black up to -1350, white above 149, ((x + 600.5) / 1499 + 0.5) * 255 between.
GREYS = {
    -3024: 0,
    -1350: 0,
    -1348: 0,  # 0.34
    -1347: 1,  # 0.51
    -1000: 60,  # 59.54
    -601: 127,  # 127.41
    -600: 128,  # 127.59
    0: 230,  # 229.65
    40: 236,  # 236.46
    146: 254,  # 254.49
    147: 255,  # 254.66
    149: 255,
    150: 255,
    2000: 255,
}


def phantom(rows=8, columns=14):
    """(hu, grey): every column has another value of `GREYS`."""
    hu = np.tile(np.resize(list(GREYS), columns), (rows, 1)).astype(float)
    grey = np.tile(np.resize(list(GREYS.values()), columns), (rows, 1)).astype(np.uint8)
    return hu, grey


def stored_values(hu, slope, intercept, signed):
    values = (np.asarray(hu) - intercept) / slope
    kind = np.dtype(np.int16 if signed else np.uint16)
    assert np.array_equal(values, np.round(values))
    assert np.iinfo(kind).min <= values.min() <= values.max() <= np.iinfo(kind).max
    return values.astype(kind)


def slice_file(
    hu,
    *,
    z=0.0,
    position=None,
    orientation=(1, 0, 0, 0, 1, 0),
    number=1,
    spacing=(0.7, 0.7),
    slope=1.0,
    intercept=-4000.0,
    signed=False,
    photometric="MONOCHROME2",
    syntax=ExplicitVRLittleEndian,
    without=(),
):
    """The bytes of a DICOM file of one slice; `without` names attributes to leave out."""
    dataset = _dataset(CTImageStorage, hu.shape, signed, photometric)
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = list(position or (-100.0, -100.0, z))
    dataset.ImageOrientationPatient = list(orientation)
    dataset.PixelSpacing = list(spacing)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    _set_pixels(dataset, stored_values(hu, slope, intercept, signed), syntax)
    for keyword in without:
        delattr(dataset, keyword)
    return _bytes(dataset)


def multi_frame_file(frames):
    """The bytes of an enhanced CT file of several frames, (n, rows, columns) in HU."""
    frames = np.asarray(frames)
    dataset = _dataset(EnhancedCTImageStorage, frames.shape[1:], False, "MONOCHROME2")
    dataset.NumberOfFrames = len(frames)
    dataset.PerFrameFunctionalGroupsSequence = Sequence([Dataset() for _ in frames])
    _set_pixels(dataset, stored_values(frames, 1.0, -4000.0, False), ExplicitVRLittleEndian)
    return _bytes(dataset)


def _dataset(storage, shape, signed, photometric):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = storage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(signed)
    return dataset


def _set_pixels(dataset, values, syntax):
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax == JPEG2000Lossless:
        stream = io.BytesIO()
        Image.fromarray(values).save(stream, format="JPEG2000", no_jp2=True, irreversible=False)
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
        return
    dataset.PixelData = values.tobytes()
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax


def _bytes(dataset):
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def series(contents, *, patient="LIDC-IDRI-0001", folder="folder-1", uid="1.2.3"):
    """The index's row of a series of these files."""
    return CtSeries(patient, uid, len(contents), sum(map(len, contents.values())), BUCKET, folder)


class Bucket:
    """What the server has, what it is told to do wrong, and what it was asked.

    Attributes:
        files: Content by key, `<folder>/<name>`.
        faults: By key, what the next requests get instead: a status, "cut", "changed", "silent"
            (no answer) or "stall" (half of one); "" is the listing.
        requests: (key, range) of every file asked for, "" for listings.
        ranges: Whether parts of files are served.
        page: Keys a listing's page.
    """

    def __init__(self):
        self.files = {}
        self.faults = {}
        self.requests = []
        self.ranges = True
        self.page = 1000
        self.lock = threading.Lock()

    def put(self, folder, contents):
        self.files |= {f"{folder}/{name}": content for name, content in contents.items()}


@contextmanager
def serving(bucket, monkeypatch):
    """Serves a bucket on 127.0.0.1, in the place where boto3 looks for it."""

    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            parts = urlsplit(self.path)
            name, _, key = unquote(parts.path).lstrip("/").partition("/")
            assert name == BUCKET
            assert "Authorization" not in self.headers  # the bucket is public: nothing is signed
            with bucket.lock:
                bucket.requests.append((key, self.headers.get("Range", "")))
                faults = bucket.faults.get(key)
                fault = faults.pop(0) if faults else None
            if isinstance(fault, int):
                self.answer(fault, b"")
            elif fault == "silent":
                closing.wait()
                self.close_connection = True
            elif key:
                self.file(key, fault)
            else:
                self.answer(200, listing(bucket, parse_qs(parts.query)))

        def do_HEAD(self):
            content = bucket.files.get(unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("ETag", tag_of(content or b""))
            self.end_headers()

        def file(self, key, fault):
            if key not in bucket.files:
                return self.answer(404, b"")
            content = bucket.files[key]
            if fault == "changed":
                content = content[:-1] + bytes([content[-1] ^ 1])
            wanted = self.headers.get("Range")
            if wanted and bucket.ranges:
                last = int(wanted.removeprefix("bytes=0-"))
                part = content[: last + 1]
                span = f"bytes 0-{len(part) - 1}/{len(content)}"
                return self.answer(206, part, {"Content-Range": span})
            return self.answer(200, content, {"ETag": tag_of(bucket.files[key])}, cut=fault)

        def answer(self, status, content, headers=(), *, cut=None):
            self.send_response(status)
            for name, value in dict(headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if cut in ("cut", "stall"):
                self.wfile.write(content[: len(content) // 2])
                if cut == "stall":
                    closing.wait()
                self.close_connection = True
                return
            try:
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked has read enough

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # boto3's waits before it asks again
    try:
        yield bucket
    finally:
        closing.set()
        server.shutdown()
        server.server_close()


def tag_of(content):
    return f'"{hashlib.md5(content).hexdigest()}"'


def listing(bucket, query):
    """A page of a folder in the bucket, as Amazon S3 writes it."""
    assert query["list-type"] == ["2"]
    prefix = query["prefix"][0]
    keys = sorted(key for key in bucket.files if key.startswith(prefix))
    start = int(query.get("continuation-token", ["0"])[0])
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(bucket.files[key])}</Size>"
        f"<ETag>{escape(tag_of(bucket.files[key]))}</ETag></Contents>"
        for key in keys[start : start + bucket.page]
    )
    end = start + bucket.page
    more = end < len(keys)
    token = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
    token += f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{BUCKET}</Name>{entries}{token}</ListBucketResult>"
    ).encode()
