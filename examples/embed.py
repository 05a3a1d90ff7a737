"""A CNN inside a NumPy script: ten lines from arrays to a trained, saved and reloaded model."""

import numpy as np

import numbacnn as cnn

x = np.random.default_rng(0).normal(0, 0.5, (600, 16, 16, 1)).astype(np.float32)  # (N, H, W, C)
y = np.arange(600) % 2  # (N,) classes from 0: does a bright bar cross the image?
x[y == 1, 5] += 1

model = cnn.Sequential([cnn.Conv2D(8, 5), cnn.ReLU(), cnn.MaxPool2D(4), cnn.Flatten(), cnn.Dense(2)])
cnn.fit(model, x[:500], y[:500], epochs=5, validation_data=(x[500:], y[500:]))
cnn.save(model, "bars.safetensors")
answers = cnn.predict(cnn.load("bars.safetensors"), x[500:]).argmax(axis=1)
print(f"{np.mean(answers == y[500:]):.0%} right")
