"""Array lists of every version, as MXNet 1.9.1 writes or reads them: python mxnet_arrays.py FOLDER --seed N

MXNet writes versions 2 and 3; versions 0 and 1 are written here and kept only where MXNet reads them to the same values. values.json says what
is in the files. Needs: pip install mxnet==1.9.1 numpy==1.23.5 (Python 3.11 or older).
"""
import argparse
import json
import os
import struct

import mxnet as mx
import numpy as np

types = ['float32', 'float64', 'float16', 'uint8', 'int32', 'int8', 'int64']


def legacy(arrays, version):
    out = struct.pack('<QQQ', 0x112, 0, len(arrays))
    for a in arrays.values():
        dims = struct.pack('<I%dI' % a.ndim, a.ndim, *a.shape) if version == 0 else struct.pack('<Ii%dq' % a.ndim, 0xF993FAC8, a.ndim, *a.shape)
        out += dims + struct.pack('<iii', 1, 0, types.index(str(a.dtype))) + a.tobytes()
    out += struct.pack('<Q', len(arrays))
    for name in arrays:
        out += struct.pack('<Q', len(name)) + name.encode()
    return out


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('folder')
parser.add_argument('--seed', type=int, default=0)
options = parser.parse_args()
rng = np.random.RandomState(options.seed)
at = lambda name: os.path.join(options.folder, name)
os.makedirs(options.folder, exist_ok=True)
draw = lambda *shape: rng.uniform(-1, 1, shape).astype(np.float32)
some = lambda: int(rng.randint(1, 6))

channels = some()
arrays = {'arg:conv_1_weight': draw(channels, some(), 3, 3), 'arg:conv_1_bias': draw(channels), 'aux:bn_1_moving_mean': draw(channels),
          'arg:fc_weight': draw(some(), some())}
for version in (0, 1):
    name = at('v%d.params' % version)
    with open(name, 'wb') as file:
        file.write(legacy(arrays, version))
    back = mx.nd.load(name)
    assert list(back) == list(arrays) and all((back[key].asnumpy() == value).all() for key, value in arrays.items()), name
mx.nd.save(at('v2.params'), {key: mx.nd.array(value) for key, value in arrays.items()})
mx.nd.save(at('nameless.nd'), [mx.nd.array(value) for value in arrays.values()])
base = rng.randint(0, 100, (some(), some()))
mx.nd.save(at('dtypes.params'), {name: mx.nd.array(base, dtype=name) for name in types})
special = np.array([0, -0., np.inf, -np.inf, np.nan, 1e-45, 3.4028235e38], np.float32)
mx.nd.save(at('special.params'), {'v': mx.nd.array(special)})
mx.nd.save(at('sparse.params'), {'rows': mx.nd.array(np.diag(draw(4))).tostype('row_sparse'), 'csr': mx.nd.array(np.diag(draw(3))).tostype('csr')})
scalar = float(draw())
with mx.util.np_shape(True):
    empty = [0, some()]
    mx.nd.save(at('v3.params'), {'scalar': mx.nd.array(np.array(scalar, np.float32)), 'empty': mx.nd.zeros(tuple(empty)),
                                 'w': mx.nd.array(arrays['arg:fc_weight'])})
with open(at('values.json'), 'w') as file:
    json.dump({'arrays': {key: {'shape': list(value.shape), 'values': [float(v) for v in value.ravel()]} for key, value in arrays.items()},
               'dtypes': {'shape': list(base.shape), 'values': base.ravel().tolist()},
               'v3.params': {'scalar': scalar, 'empty': empty, 'w': 'arg:fc_weight'}}, file, indent=1)
