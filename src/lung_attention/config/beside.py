"""The sections of what stands beside the pipeline: the search and the gate."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lung_attention.config.values import Count, Distinct, Folds, Fraction, Resamples, Section, Seed


class Range(Section):
    """The numbers that a search may choose from."""

    low: float
    high: float
    log: bool
    step: Annotated[float, Field(gt=0)] | None

    @model_validator(mode="after")
    def _has_numbers(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic range begins above 0 and has no step")
        return self

    def holds(self, value: float) -> bool:
        """Whether a value is in the range; steps are not looked at."""
        return self.low <= value <= self.high


class SearchSpace(Section):
    """What a search may change about a head, its fit and what it sees; a list names the choices.

    Attributes:
        view: What the network is shown of an image: names of `views`, or `close`, each dataset's own.
        learning_rate: Of the optimizer.
        epochs: Of a head that starts from random weights.
        further_epochs: Of a linear head beyond the logistic regression that it starts from.
        batch_size: Images of one step.
        hidden_layers: How many; none is a linear head, which on averages and maxima starts from a regression.
        hidden_units: Of each.
        pooling: Of features over the image.
        dropout: After each hidden layer.
        l2: Penalties of a head that starts from random weights; 0 for none.
        regression_l2: Of the logistic regression, which has none without a penalty.
        attention_maps: Of the attention head.
        attention_gamma: Its start.
        attention_activation: Of its maps.
    """

    view: Distinct[str]
    learning_rate: Range
    epochs: Range
    further_epochs: Range
    batch_size: Distinct[Count]
    hidden_layers: Distinct[Literal[0, 1, 2]]
    hidden_units: Distinct[Count]
    pooling: Distinct[Literal["flatten", "average", "average_max"]]
    dropout: Range
    l2: Distinct[Annotated[float, Field(ge=0)]]
    regression_l2: Distinct[Annotated[float, Field(gt=0)]]
    attention_maps: Range
    attention_gamma: Range
    attention_activation: Distinct[Literal["relu", "linear"]]


class Pruning(Section):
    """When a trial that is worse than the median of the others is given up.

    Attributes:
        startup_trials: How many are completed before.
        warmup_epochs: Before a trial may be given up for its beginning.
        patience_epochs: Without a new minimum, before it may be given up for overfitting.
    """

    startup_trials: Count
    warmup_epochs: Annotated[int, Field(ge=0)]
    patience_epochs: Count


class Search(Section):
    """The nested search for the settings of a head; not part of `dvc repro`.

    Attributes:
        objective: What is minimised on the inner validation rows: `log_loss`, after one temperature, or
            `auroc`, its distance from 1 (mean over classes, one against rest).
        trials: Of each study.
        time_budget_s: Seconds that a study may take; None for as many as its trials need.
        inner_folds: Of each study.
        jit_compile: Of trials.
        seed: Of the studies.
        startup_trials: Drawn at random before TPE learns from them.
        pruning: When a trial is given up.
        heartbeat_s: Seconds between two signs of life of a worker.
        grace_s: Seconds of silence after which a trial is run again.
        space: What is searched.
    """

    objective: Literal["log_loss", "auroc"]
    trials: Count
    time_budget_s: Annotated[float, Field(gt=0)] | None
    inner_folds: Folds
    jit_compile: bool
    seed: Seed
    startup_trials: Count
    pruning: Pruning
    heartbeat_s: Count
    grace_s: Count
    space: SearchSpace

    def of_values(self) -> dict[str, Any]:
        """What trials' values depend on, as plain values.

        How many trials, how long, and when a worker counts as dead may differ each time a study is gone on
        with.
        """
        return self.model_dump(mode="json", exclude={"trials", "time_budget_s", "heartbeat_s", "grace_s"})


class DeclaredChange(Section):
    """A change that the gate lets pass because somebody wants it."""

    cells: Distinct[Annotated[str, Field(min_length=1)]]
    change: Literal["missing", "images", "labels", "folds", "worse", "below_published"]
    reason: Annotated[str, Field(pattern=r"\w+\W+\w+")]  # two words at least: a reason, no mark


class Margins(Section):
    """For each deciding score of the gate a loss that is none, in the score's own unit."""

    balanced_accuracy: Annotated[float, Field(ge=0, le=0.1)]
    mcc: Annotated[float, Field(ge=0, le=0.2)]
    auroc_ovr: Annotated[float, Field(ge=0, le=0.1)]
    log_loss: Annotated[float, Field(ge=0, le=0.5)]


class TrainingSd(Section):
    """How far one training is luckier than another as a whole: standard deviations of its scores.

    Attributes:
        balanced_accuracy: A fraction of 1; MCC and AUROC follow it.
        log_loss: In nats.
    """

    balanced_accuracy: Annotated[float, Field(ge=0, lt=1)]
    log_loss: Annotated[float, Field(ge=0)]


class Gating(Section):
    """When a change of code or parameters makes a result worse.

    Attributes:
        margins: A loss up to these is none.
        confidence: One-sided, of the whole family of cells.
        pooled_error: What the test of all cells together has of the chance of a false alarm, 1 − confidence.
        power: With which a loss called detectable would be detected.
        resamples: Of the bootstrap, and swaps of the permutation test.
        seed: Of both.
        training_sd: How far one training is luckier than another; null for each dataset's own.
        declared: Wanted changes.
    """

    margins: Margins
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    pooled_error: Annotated[float, Field(gt=0, lt=1)]
    power: Fraction
    resamples: Resamples
    seed: Seed
    training_sd: TrainingSd | None
    declared: list[DeclaredChange]

    @model_validator(mode="after")
    def _leaves_some_to_single_cells(self) -> Gating:
        if self.pooled_error >= 1 - self.confidence:
            raise ValueError(
                f"pooled_error {self.pooled_error} leaves nothing of 1 - confidence {self.confidence}"
            )
        return self
