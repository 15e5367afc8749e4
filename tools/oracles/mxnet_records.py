"""Records as MXNet 1.9.1 packs and decodes them: python mxnet_records.py FOLDER --seed N

FOLDER holds images/, a folder a class. Written are lists, indices and records by MXNet's own im2rec.py, the pixels that MXNet decodes
(NAME-pixels.params), and records that hold the magic number and so are split (split.json has their bytes). What encodes images anew needs
OpenCV's Python beside MXNet: without it `plain`, `resized` and `png` are left out, and named on the last line.
Needs: pip install mxnet==1.9.1 numpy==1.23.5 "opencv-python-headless<4.9" (Python 3.11 or older).
"""
import argparse
import importlib.util
import json
import os
import runpy
import struct
import subprocess
import sys
import types

import mxnet as mx
import numpy as np

encoded = {'plain': [], 'resized': ['--resize', '64', '--center-crop', '--quality', '90'],
           'png': ['--resize', '48', '--encoding', '.png', '--quality', '3']}
passed = {'pass': ['--pass-through']}


def pack(folder, name, *options):
    """By MXNet's script, in a process of its own; what imports OpenCV and does not use it gets an empty module."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), '--im2rec', os.path.join(folder, name), os.path.join(folder, 'images'), *options],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout)


def im2rec(arguments):
    if importlib.util.find_spec('cv2') is None:
        sys.modules['cv2'] = types.ModuleType('cv2')
    script = os.path.join(os.path.dirname(mx.__file__), 'tools', 'im2rec.py')
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name='__main__')


def pixels(folder, name):
    reader = mx.recordio.MXIndexedRecordIO(os.path.join(folder, name + '.idx'), os.path.join(folder, name + '.rec'), 'r')
    decoded = {}
    for key in reader.keys:
        _, image = mx.recordio.unpack(reader.read_idx(key))
        decoded['%d' % key] = mx.image.imdecode(image, flag=1, to_rgb=True)
    mx.nd.save(os.path.join(folder, name + '-pixels.params'), decoded)


def several_labels(folder, rng):
    with open(os.path.join(folder, 'pass.lst')) as file:
        rows = [line.rstrip('\n').split('\t') for line in file]
    with open(os.path.join(folder, 'multi.lst'), 'w') as file:
        for key, label, name in rows:
            file.write('\t'.join([key, label, *('%f' % v for v in rng.randint(-8, 9, 2) / 4), name]) + '\n')
    pack(folder, 'multi', '--pack-label', '--pass-through')


def split(folder, rng):
    magic = struct.pack('<I', 0xCED7230A)
    bodies = [b'', magic, magic * 3, b'abc' + magic]
    bodies += [b''.join(magic if rng.rand() < .4 else rng.bytes(rng.randint(0, 40)) for _ in range(rng.randint(1, 9))) for _ in range(12)]
    base = os.path.join(folder, 'split')
    writer = mx.recordio.MXIndexedRecordIO(base + '.idx', base + '.rec', 'w')
    for key, body in enumerate(bodies):
        writer.write_idx(key, body)
    writer.close()
    reader = mx.recordio.MXIndexedRecordIO(base + '.idx', base + '.rec', 'r')
    assert [reader.read_idx(key) for key in range(len(bodies))] == bodies
    with open(base + '.json', 'w') as file:
        json.dump([body.hex() for body in bodies], file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args()
    rng = np.random.RandomState(options.seed)
    opencv = importlib.util.find_spec('cv2') is not None
    for name, more in {**passed, **(encoded if opencv else {})}.items():
        pack(options.folder, name, '--list', '--recursive')
        pack(options.folder, name, *more)
        if name != 'plain':
            pixels(options.folder, name)
    several_labels(options.folder, rng)
    split(options.folder, rng)
    if not opencv:
        print('left out, for want of OpenCV (pip install "opencv-python-headless<4.9"): records ' + ', '.join(encoded))


if sys.argv[1:2] == ['--im2rec']:
    im2rec(sys.argv[2:])
else:
    main()
