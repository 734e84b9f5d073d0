"""One thread for torch, so that workers of the test run do not compete."""

try:
    import torch
except ImportError:  # the tests of this folder skip themselves
    pass
else:
    torch.set_num_threads(1)
