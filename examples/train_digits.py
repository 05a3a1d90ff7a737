"""LeNet-5 on scikit-learn's digits, step by step: data, model, schedule, augmentation, checkpoint.

Needs the demo extra: pip install "numbacnn[demo]".
"""

import numbacnn as cnn
from numbacnn.data import Augment, Preparation, load_digits, stratified_split
from numbacnn.training import Checkpoint

EPOCHS, BATCH = 10, 32

train, test = stratified_split(load_digits(), test_fraction=0.2, seed=0)
prepare = Preparation.of(train)  # measures mean and deviation, and remembers them for prediction
x_train, x_test = prepare(train.images), prepare(test.images)

model = cnn.lenet5(classes=10, padding=("same", "same"))
model.metadata.update(prepare.to_metadata())  # travels in the model's file
model.build(x_train.shape[1:], 0)
print(model.summary())

history = cnn.fit(
    model,
    x_train,
    train.labels,
    optimizer=cnn.AdamW(weight_decay=0.1),
    epochs=EPOCHS,
    batch_size=BATCH,
    validation_data=(x_test, test.labels),
    schedule=cnn.OneCycle(max_lr=0.005, total_steps=EPOCHS * -(-len(train) // BATCH)),
    augment=Augment(shift=0.5, rotation=10, scale=0.1, fill=prepare.normalization.black),
    callbacks=[Checkpoint("digits.safetensors")],
)
print(f"best validation accuracy: {max(history['val_accuracy']):.1%}")

again = cnn.load("digits.safetensors")
labels = Preparation.from_metadata(again.metadata).class_names
answers = cnn.predict(again, x_test[:10]).argmax(axis=1)
print("answers:", " ".join(labels[k] for k in answers))
print("truth:  ", " ".join(labels[k] for k in test.labels[:10]))
