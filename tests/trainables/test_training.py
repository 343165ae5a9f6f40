from pathlib import Path

import pytest
import torch
from torch import nn

import trainables
from trainables.config import ScheduleConfig, TaskConfig, TrainingConfig
from trainables.task import loss
from trainables.task.metrics.classes import Accuracy
from trainables.training import optimizer
from trainables.training.evaluation import evaluate
from trainables.training.loop import steps_per_epoch
from trainables.training.loop import train as train_steps
from trainables.training.step_plan import StepPlan

CPU = torch.device("cpu")
USERS = "tests.trainables.users"
TASK = TaskConfig(f"{USERS}:network", "digits", {"width": 4})
CROSS_ENTROPY = loss.resolve("cross_entropy")


def train(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    training: TrainingConfig,
    epochs: range,
    task: TaskConfig = TASK,
) -> float:
    split = trainables.load_data(task).train
    steps = steps_per_epoch(len(split), training.batch_size)
    step_plan = StepPlan(training, 7, steps, training.epochs * steps)
    for epoch in epochs:
        metrics = train_steps(
            network, optimiser, split, CROSS_ENTROPY, step_plan, epoch * steps, (epoch + 1) * steps, CPU
        )
    return metrics["train/loss"]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_training_continues_to_the_same_bits(name: str, tmp_path: Path) -> None:
    training = TrainingConfig(
        4,
        64,
        name,
        0.01,
        weight_decay=1e-3,
        schedule=ScheduleConfig("cosine", warmup=1),
        augment=("flip", "crop", "shift"),
    )
    whole = trainables.build_network(TASK)
    train(whole, optimizer.make(whole, training), training, range(4))

    first = trainables.build_network(TASK)
    before = optimizer.make(first, training)
    train(first, before, training, range(2))
    torch.save(before.state_dict(), tmp_path / "optimizer.pt")
    second = trainables.build_network(TASK, seed=99)
    second.load_state_dict(first.state_dict())
    after = optimizer.make(second, training)
    after.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    torch.rand(17)  # what others draw from torch's generator meanwhile is of no account
    train(second, after, training, range(2, 4))

    assert all(torch.equal(tensor, second.state_dict()[key]) for key, tensor in whole.state_dict().items())


def test_training_learns_and_streaming_learns_the_same() -> None:
    training = TrainingConfig(10, 20, lr=0.1)
    results = []
    for data in (f"{USERS}:blobs", f"{USERS}:datasets"):
        task = TaskConfig(f"{USERS}:blob_network", data)
        network, split = trainables.build_network(task), trainables.load_data(task).validation
        before = evaluate(network, split, CROSS_ENTROPY, CPU, {"accuracy": Accuracy(-100)})["accuracy"]
        train(network, optimizer.make(network, training), training, range(10), task)
        told = evaluate(network, split, CROSS_ENTROPY, CPU, {"accuracy": Accuracy(-100)})
        assert before < 0.8 and told["accuracy"] == 1
        results.append(told["loss"])
    assert results[0] == results[1]


def test_a_loss_that_breaks_down_is_named_with_its_step() -> None:
    training = TrainingConfig(3, 64, lr=1e30)
    network = trainables.build_network(TASK)
    with pytest.raises(trainables.TrainingError, match=r"the loss became (nan|inf) at step \d+ \(epoch 0\)"):
        train(network, optimizer.make(network, training), training, range(3))


def test_inputs_that_are_no_numbers_are_blamed_and_not_the_learning_rate() -> None:
    images, labels = torch.randn(40, 4), torch.zeros(40, dtype=torch.long)
    images[13, 2] = float("inf")
    network, training = nn.Linear(4, 2), TrainingConfig(batch_size=8, lr=0.01)
    step_plan, cpu = StepPlan(training, 0, 5, 5), torch.device("cpu")
    split = trainables.TensorSplit(images, labels)
    said = (
        r"the loss became nan at step \d \(epoch 0\); "
        r"its batch has inputs that are no numbers \(NaN or infinity\): 1 of 8, .*"
    )
    with pytest.raises(trainables.TrainingError, match=said):
        train_steps(
            network,
            optimizer.make(network, training),
            split,
            nn.functional.cross_entropy,
            step_plan,
            0,
            5,
            cpu,
        )


def test_evaluation_agrees_with_one_pass_and_keeps_the_mode() -> None:
    network, split = trainables.build_network(TASK).train(), trainables.load_data(TASK).train
    told = evaluate(network, split, CROSS_ENTROPY, CPU, {"accuracy": Accuracy(-100)})
    assert network.training
    outputs = network.eval()(split.inputs)
    assert told["accuracy"] == (outputs.argmax(1) == split.labels).double().mean().item()
    assert told["loss"] == pytest.approx(nn.functional.cross_entropy(outputs, split.labels).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("examples", "batch", "steps"),
    [(120, 60, 2), (121, 60, 2), (122, 60, 3), (1, 60, 1), (59, 60, 1), (60, 60, 1), (5, 1, 5)],
)
def test_a_last_batch_of_one_is_left_out(examples: int, batch: int, steps: int) -> None:
    assert steps_per_epoch(examples, batch) == steps


def test_label_smoothing_is_for_training_and_cross_entropy() -> None:
    outputs, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    smoothed = nn.functional.cross_entropy(outputs, labels, label_smoothing=0.1)
    assert torch.equal(loss.resolve("cross_entropy", 0.1)(outputs, labels), smoothed)
    with pytest.raises(
        trainables.TaskError, match="label_smoothing belongs to the loss cross_entropy, not to nll"
    ):
        loss.resolve("nll", 0.1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crossentropy", "there is no loss 'crossentropy'; did you mean cross_entropy?"),
        (f"{USERS}:smooth_l2", "has no attribute 'smooth_l2'; did you mean smooth_l1?"),
    ],
)
def test_an_unknown_loss_is_explained(name: str, message: str) -> None:
    with pytest.raises(trainables.TaskError, match=message):
        loss.resolve(name)


def test_an_optimiser_that_cannot_be_is_explained() -> None:
    with pytest.raises(ValueError, match=r"nesterov needs a momentum above 0"):
        TrainingConfig(nesterov=True, momentum=0)
    with pytest.raises(trainables.TaskError, match="no trainable parameter"):
        optimizer.make(nn.Flatten(), TrainingConfig())
