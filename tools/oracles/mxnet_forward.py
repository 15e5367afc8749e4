"""What MXNet 1.9.1 computes with files that Fovea wrote: python mxnet_forward.py FOLDER

Each folder in FOLDER holds symbol.json, params.params (arg: and aux:) and inputs.params; outputs.params is written beside them, or error.txt
with what MXNet says. Needs: pip install mxnet==1.9.1 numpy==1.23.5 (Python 3.11 or older).
"""
import os
import sys

os.environ.setdefault('MXNET_SUBGRAPH_VERBOSE', '0')
os.environ.setdefault('MXNET_STORAGE_FALLBACK_LOG_VERBOSE', '0')
import mxnet as mx


def forward(folder):
    symbol = mx.sym.load(os.path.join(folder, 'symbol.json'))
    given = mx.nd.load(os.path.join(folder, 'inputs.params'))
    params = mx.nd.load(os.path.join(folder, 'params.params')) if os.path.exists(os.path.join(folder, 'params.params')) else {}
    arg_shapes, _, aux_shapes = symbol.infer_shape(**{name: array.shape for name, array in given.items()})
    args = {}
    for name, shape in zip(symbol.list_arguments(), arg_shapes):
        # Labels have no part in inference, but MXNet wants them there.
        args[name] = given.get(name, params.get('arg:' + name))
        if args[name] is None:
            if not name.endswith('label'):
                raise ValueError('no value for ' + name)
            args[name] = mx.nd.zeros(shape)
    aux = {name: params['aux:' + name] for name in symbol.list_auxiliary_states()}
    executor = symbol.bind(mx.cpu(), args, grad_req='null', aux_states=aux)
    outputs = executor.forward(is_train=False)
    mx.nd.save(os.path.join(folder, 'outputs.params'), [output.astype('float32') for output in outputs])


for entry in sorted(os.scandir(sys.argv[1]), key=lambda e: e.name):
    if not entry.is_dir():
        continue
    try:
        forward(entry.path)
    except Exception as error:  # each folder stands for itself
        with open(os.path.join(entry.path, 'error.txt'), 'w') as file:
            file.write(str(error))
