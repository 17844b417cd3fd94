"""Engine: labelled pixels and a recipe come in, a trained backbone and its head go out.

It knows devices, precision and random numbers. It knows no studies, packs, files or clocks: what concerns these comes in
as arrays or hooks. Backbones and optimisers are defined in packages of the same names, which load no torch.
"""
