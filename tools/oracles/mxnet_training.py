"""Training runs of MXNet 1.9.1's Module: python mxnet_training.py FOLDER

FOLDER holds symbol.json, start.params (arg:, aux:), batches.params (data [steps, batch, ...], label [steps, batch]) and runs.json
({NAME: {optimizer, options, schedule}}). Written are NAME.params after the last step and report.json: losses, an inference on the first batch,
and learning rates of schedules by update. Needs: pip install mxnet==1.9.1 numpy==1.23.5 (Python 3.11 or older).
"""
import json
import os
import sys

os.environ.setdefault('MXNET_MKLDNN_ENABLED', '0')
os.environ['MXNET_STORAGE_FALLBACK_LOG_VERBOSE'] = '0'
import mxnet as mx
import numpy as np

folder = sys.argv[1]
at = lambda name: os.path.join(folder, name)


def of_kind(arrays, kind):
    return {key[4:]: array for key, array in arrays.items() if key.startswith(kind + ':')}


def train(name, run, symbol, start, images, labels):
    n = images.shape[1]
    batch = lambda i: mx.io.DataBatch([mx.nd.array(images[i])], [mx.nd.array(labels[i])])
    module = mx.mod.Module(symbol, context=mx.cpu())
    module.bind([('data', images.shape[1:])], [('softmax_label', (n,))])
    module.set_params(of_kind(start, 'arg'), of_kind(start, 'aux'))
    options = dict(run['options'], rescale_grad=1.0 / n)
    if 'schedule' in run:
        options['lr_scheduler'] = mx.lr_scheduler.FactorScheduler(**run['schedule'])
    module.init_optimizer(kvstore=None, optimizer=run['optimizer'], optimizer_params=options)
    losses = []
    for i in range(len(images)):
        module.forward(batch(i), is_train=True)
        p = module.get_outputs()[0].asnumpy()
        losses.append(float(-np.log(np.maximum(p[np.arange(n), labels[i].astype(int)], 1e-30)).mean()))
        module.backward()
        module.update()
    arguments, auxiliary = module.get_params()
    after = dict([('arg:' + key, value) for key, value in arguments.items()] + [('aux:' + key, value) for key, value in auxiliary.items()])
    mx.nd.save(at(name + '.params'), after)
    module.forward(batch(0), is_train=False)
    return dict(run, rescale_grad=1.0 / n, loss=losses, inference_on_first_batch=module.get_outputs()[0].asnumpy().astype(float).tolist())


mx.sym.load(at('symbol.json')).save(at('symbol.json'))
net = mx.sym.load(at('symbol.json'))
batches = mx.nd.load(at('batches.params'))
with open(at('runs.json')) as file:
    runs = json.load(file)
start = mx.nd.load(at('start.params'))
report = {name: train(name, run, net, start, batches['data'].asnumpy(), batches['label'].asnumpy()) for name, run in runs['runs'].items()}
makers = {'factor': mx.lr_scheduler.FactorScheduler, 'multi': mx.lr_scheduler.MultiFactorScheduler, 'poly': mx.lr_scheduler.PolyScheduler,
          'cosine': mx.lr_scheduler.CosineScheduler, 'cosine_warmup': mx.lr_scheduler.CosineScheduler}
schedules = {name: makers[name](**options) for name, options in runs['schedules'].items()}
report['schedule_options'] = runs['schedules']
report['schedules_by_update_0_to_25'] = {name: [float(schedule(i)) for i in range(26)] for name, schedule in schedules.items()}
with open(at('report.json'), 'w') as file:
    json.dump(report, file, indent=1)
os.remove(at('runs.json'))
