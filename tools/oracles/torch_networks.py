"""What PyTorch makes of Inception v3, and files of the safetensors package: python torch_networks.py FOLDER --seed N

torchvision's and timm's networks are taken where those packages are; without torchvision its network is torch_inception.py's, by the same
names. Parameters follow from seed and name (recipe.py). What is left out for want of a package is named on the last line.
Needs: pip install torch; better: pip install torch torchvision timm safetensors.
"""
import argparse
import importlib.util
import json
import os
import warnings

import torch

from recipe import hashed, scaled, size_of, torch_kind

warnings.filterwarnings('ignore')


def recipe(name, shape, seed):
    u = hashed(name, torch.arange(size_of(shape)), seed).double() / 2.0 ** 32 - 0.5
    return scaled(torch_kind(name, shape), u, shape).float().reshape(shape)


def digest(tensor):
    a = tensor.detach().double().flatten()
    return {'shape': list(tensor.shape), 'size': a.numel(), 'sum': a.sum().item(), 'abs': a.abs().sum().item(),
            'l2': a.square().sum().sqrt().item(), 'first': a[:8].tolist(), 'last': a[-8:].tolist()}


def run(folder, name, model, side, seed):
    state = model.state_dict()
    model.load_state_dict({key: recipe(key, list(value.shape), seed) if value.ndim else value for key, value in state.items()})
    model.eval()
    layers = {}
    for key, module in model.named_children():
        module.register_forward_hook(lambda m, i, o, key=key: layers.__setitem__(key, digest(o)) if torch.is_tensor(o) else None)
    shape = [1, 3, side, side]
    with torch.no_grad():
        logits = model(recipe('data', shape, seed))
    found = {'name': name, 'seed': seed, 'torch': torch.__version__, 'input': shape, 'layout': 'NCHW',
             'state_dict': {key: list(value.shape) for key, value in state.items() if value.ndim}, 'layers': layers, 'logits': logits[0].tolist()}
    with open(os.path.join(folder, name + '.json'), 'w') as file:
        json.dump(found, file, separators=(',', ':'))


def kinds(folder, generator):
    from safetensors.torch import save_file
    rows = [int(torch.randint(1, 6, (), generator=generator)) for _ in range(2)]
    # Eighths up to 15 are exact in every floating type there is.
    w = torch.randint(-120, 121, rows, generator=generator).float() / 8
    whole = torch.randint(0, 256, (int(torch.randint(1, 9, (), generator=generator)),), generator=generator)
    tensors = {'f32': w, 'f16': w.half(), 'bf16': w.bfloat16(), 'f64': w.double(), 'i64': whole - 128, 'u8': whole.to(torch.uint8),
               'bool': whole > 100, 'scalar': torch.rand((), generator=generator), 'empty': torch.zeros(0, rows[0])}
    metadata = {'format': 'pt', 'made': 'fixture'}
    save_file(tensors, os.path.join(folder, 'kinds.safetensors'), metadata=metadata)
    values = {key: {'shape': list(value.shape), 'values': value.double().flatten().tolist()} for key, value in tensors.items()}
    with open(os.path.join(folder, 'kinds.json'), 'w') as file:
        json.dump({'metadata': metadata, 'tensors': values}, file, indent=1)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('folder')
parser.add_argument('--seed', type=int, default=0)
options = parser.parse_args()
os.makedirs(options.folder, exist_ok=True)
generator = torch.Generator().manual_seed(options.seed)
there = lambda package: importlib.util.find_spec(package) is not None
size = lambda: int(torch.randint(150, 320, (), generator=generator))
left_out = []
if there('torchvision'):
    import torchvision
    vision = torchvision.models.inception_v3(weights=None, transform_input=False, init_weights=False)
else:
    from torch_inception import InceptionV3
    vision = InceptionV3()
    left_out.append("torchvision's own inception_v3 (its structure as tools/oracles/torch_inception.py states it was run)")
run(options.folder, 'torchvision-inception_v3', vision, size(), options.seed)
if there('timm'):
    import timm
    run(options.folder, 'timm-inception_v3', timm.create_model('inception_v3', pretrained=False), size(), options.seed)
else:
    left_out.append("timm's inception_v3")
if there('safetensors'):
    kinds(options.folder, generator)
else:
    left_out.append('kinds.safetensors')
if left_out:
    print('left out, for want of packages (pip install torchvision timm safetensors): ' + '; '.join(left_out))
