"""MXNet's word on files: what it reads in those that Fovea wrote, and files of its own for Fovea to read.

    python3 -m venv /tmp/mx && /tmp/mx/bin/pip install mxnet==1.9.1 numpy==1.23.5      (Python 3.8 to 3.11)
    FOVEA_MXNET_PYTHON=/tmp/mx/bin/python npx tsx test/formats/mxnet-files.test.ts

    python mxnet_files.py read FOLDER             prints JSON: what is in FOLDER/*.rec and FOLDER/*.params
    python mxnet_files.py make FOLDER --seed N    writes such files, from a seed, and prints the same of them
"""
import argparse
import glob
import hashlib
import json
import os
import struct

import mxnet as mx
import numpy as np


def digest(data):
    return hashlib.sha256(data).hexdigest()


def arrays(path):
    """dtype, shape and digest of every array; a nameless list by number."""
    loaded = mx.nd.load(path)
    items = loaded.items() if isinstance(loaded, dict) else enumerate(loaded)
    return {str(k): {'dtype': np.dtype(v.dtype).name, 'shape': list(v.shape), 'sha256': digest(v.asnumpy().tobytes())} for k, v in items}


def raw(path):
    """Digests of the payloads: in order, and by index where there is one."""
    reader = mx.recordio.MXRecordIO(path, 'r')
    order = []
    while True:
        payload = reader.read()
        if payload is None:
            break
        order.append(digest(payload))
    found = {'order': order}
    index = os.path.splitext(path)[0] + '.idx'
    if os.path.exists(index):
        indexed = mx.recordio.MXIndexedRecordIO(index, path, 'r')
        found['index'] = {str(k): digest(indexed.read_idx(k)) for k in indexed.keys}
    return found


def images(path):
    """Header and pixels of every record by key, decoded by MXNet."""
    indexed = mx.recordio.MXIndexedRecordIO(os.path.splitext(path)[0] + '.idx', path, 'r')
    found = {}
    for k in indexed.keys:
        head, encoded = mx.recordio.unpack(indexed.read_idx(k))
        pixels = mx.image.imdecode(encoded, flag=1, to_rgb=True).asnumpy()
        labels = [float(x) for x in np.atleast_1d(head.label)]
        found[str(k)] = {'flag': int(head.flag), 'labels': labels, 'id': int(head.id), 'id2': int(head.id2),
                         'shape': list(pixels.shape), 'sha256': digest(pixels.tobytes())}
    return found


def iterated(path, height, width):
    """Labels and digests of pixels, in order, as MXNet's own record iterator gives them in training."""
    data = mx.io.ImageRecordIter(path_imgrec=path, data_shape=(3, height, width), batch_size=1, dtype='uint8', preprocess_threads=1, round_batch=False)
    return [[float(b.label[0].asnumpy()[0]), digest(b.data[0].asnumpy()[0].transpose(1, 2, 0).astype(np.uint8).tobytes())] for b in data]


def read(folder):
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, '*.params'))):
        found[os.path.basename(path)] = arrays(path)
    for path in sorted(glob.glob(os.path.join(folder, '*.rec'))):
        name = os.path.basename(path)
        found[name] = raw(path)
        if name.startswith('images'):
            found[name]['images'] = images(path)
            sizes = {tuple(one['shape'][:2]) for one in found[name]['images'].values()}
            flags = {one['flag'] for one in found[name]['images'].values()}
            if len(sizes) == 1 and flags == {0}:
                found[name]['iterated'] = iterated(path, *sizes.pop())
    return found


def make(folder, seed):
    rng = np.random.RandomState(seed)
    os.makedirs(folder, exist_ok=True)
    base = rng.randint(0, 99, (3, 4))
    dtypes = ['float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64']
    mx.nd.save(os.path.join(folder, 'dtypes.params'), {'arg:' + t: mx.nd.array(base, dtype=t) for t in dtypes})
    mx.nd.save(os.path.join(folder, 'list.params'), [mx.nd.array(rng.randn(*rng.randint(1, 5, rng.randint(1, 5)))) for _ in range(5)])
    magic = struct.pack('<I', 0xCED7230A)
    writer = mx.recordio.MXIndexedRecordIO(os.path.join(folder, 'split.idx'), os.path.join(folder, 'split.rec'), 'w')
    for key in range(20):
        parts = [rng.bytes(rng.randint(0, 40)) if rng.rand() < .6 else magic for _ in range(rng.randint(0, 8))]
        writer.write_idx(key, b''.join(parts))
    writer.close()
    for name, count in (('images-one', 1), ('images-several', 3)):
        writer = mx.recordio.MXIndexedRecordIO(os.path.join(folder, name + '.idx'), os.path.join(folder, name + '.rec'), 'w')
        for key in range(6):
            label = float(key % 2) if count == 1 else rng.randn(count).astype(np.float32)
            # The encoder of MXNet's Python is OpenCV's, which need not be installed: netpbm is no format of ours, PNG is written by hand.
            writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, label, key, 0), png(rng.randint(0, 256, (5, 7, 3)).astype(np.uint8))))
        writer.close()


def png(pixels):
    import zlib
    chunk = lambda kind, body: struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
    height, width, _ = pixels.shape
    lines = b''.join(b'\0' + row.tobytes() for row in pixels)
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(lines)) + chunk(b'IEND', b'')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('what', choices=['read', 'make'])
    parser.add_argument('folder')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    if options.what == 'make':
        make(options.folder, options.seed)
    print(json.dumps(read(options.folder)))
