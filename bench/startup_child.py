"""The program that `bench.startup` starts anew each time: one prediction or one training step of LeNet-5.

    python -m bench.startup_child ours|torch predict|step [threads]

Imports what such a program would, and no more: every import counts.
"""

import sys


def ours(task: str, threads: int | None) -> None:
    import numpy as np

    import numbacnn
    from numbacnn.models.lenet import lenet5

    if threads is not None:
        numbacnn.set_num_threads(threads)
    model = lenet5()
    model.build((28, 28, 1), 0)
    if task == "predict":
        model(np.zeros((1, 28, 28, 1), np.float32)).numpy()
        return
    from numbacnn.losses import SoftmaxCrossEntropy
    from numbacnn.optimizers import SGD

    x, target = np.zeros((64, 28, 28, 1), np.float32), np.zeros(64, np.int64)
    prediction, saved = model.forward(x, training=True)
    _, gradient = SoftmaxCrossEntropy().value_and_gradient(prediction, target)
    model.backward(gradient, saved)
    SGD(0.01, momentum=0.9).step(model.parameters)


def torch(task: str, threads: int | None) -> None:
    import torch
    from torch import nn

    if threads is not None:
        torch.set_num_threads(threads)
    convs = (
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    dense = (nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))
    model = nn.Sequential(*convs, nn.Flatten(), *dense)
    if task == "predict":
        with torch.inference_mode():
            model(torch.zeros(1, 1, 28, 28)).numpy()
        return
    x, target = torch.zeros(64, 1, 28, 28), torch.zeros(64, dtype=torch.int64)
    nn.functional.cross_entropy(model(x), target).backward()
    torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9).step()


if __name__ == "__main__":
    side, task, *threads = sys.argv[1:]
    {"ours": ours, "torch": torch}[side](task, int(threads[0]) if threads else None)
    print("done", flush=True)
