"""What the benchmark measures: the default plan (12 minutes at most on two AVX2 cores), the whole one, a quick test."""

from __future__ import annotations

from dataclasses import dataclass, field

JOB_EVALUATIONS = 400
"""Evaluations of report 002's job."""

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass
class Row:
    """One candidate of one section, as stored in the results.

    Attributes:
        section: A key of ``SECTIONS``.
        size: WIDTH x HEIGHT.
        name: Name of the candidate.
        seconds: Median time of a call; None if the candidate cannot run here.
        low: First quartile of the times in seconds.
        high: Third quartile of the times in seconds.
        repeats: Measured calls.
        peak: Growth of the process in bytes.
        tensors: Peak memory of the tensors in bytes.
        multiply_adds: Multiply-add operations of a call.
        note: What else there is to say.
    """

    section: str
    size: str
    name: str
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    repeats: int = 1
    peak: int | None = None
    tensors: int | None = None
    multiply_adds: int | None = None
    note: str = ""


@dataclass
class Job:
    """A candidate of the section "job"; ``measured`` is how many of the evaluations it runs."""

    name: str
    weights: str
    measured: int
    float32_until: str | None = None


def make_jobs(whole: bool) -> list[Job]:
    """Return the candidates of the job; a part of the evaluations is enough, because they take equally long."""
    first = "conv1_1"
    return [
        Job("ours, full VGG-19", "full", JOB_EVALUATIONS if whole else 40),
        Job("ours, compact", "compact", JOB_EVALUATIONS if whole else 200),
        Job(f"ours, compact, float32_until='{first}'", "compact", JOB_EVALUATIONS if whole else 200, first),
    ]


@dataclass
class Plan:
    """What is measured.

    Attributes:
        name: "default", "whole" or "quick".
        steps: Sizes of Gatys' step.
        handed_back: Whether the step is also measured with freed memory handed back.
        networks: Sizes of a network's forward pass.
        widths: Width of each kind of network.
        compiled: Sizes at which networks also run through torch.compile.
        training: Size of the photos of a training step.
        most_repeats: Measured calls of a candidate, unless that takes longer than ``seconds``.
        seconds: Time for the measured calls of all candidates of a section at one size.
        jobs: Candidates of report 002's job.
        job_size: Size of that job.
        race_size: Size of the transfers to equal loss.
        race_inits: First pictures of these transfers.
        race_steps: Evaluations of the code as taught.
        race_first: Evaluations at the first of three scales; ``race_steps`` more follow at the full size.
        full: Weights that stand for the full VGG-19.
    """

    name: str = "default"
    steps: tuple[Size, ...] = ((300, 400), (512, 512))
    handed_back: bool = False
    networks: tuple[Size, ...] = ((300, 400), (720, 1280))
    widths: dict[str, int] = field(default_factory=lambda: {"full": 32, "slim": 16})
    compiled: tuple[Size, ...] = ()
    training: Size = (256, 256)
    most_repeats: int = 9
    seconds: float = 20
    jobs: list[Job] = field(default_factory=lambda: make_jobs(whole=False))
    job_size: Size = (300, 400)
    race_size: Size = (512, 512)
    race_inits: tuple[str, ...] = ("content",)
    race_steps: int = 100
    race_first: int = 100
    full: str = "full"


def whole_plan() -> Plan:
    """Return a plan with all sizes, candidates and evaluations; it takes three quarters of an hour on AVX2."""
    return Plan(
        name="whole",
        steps=((256, 256), (300, 400), (512, 512), (1024, 1024)),
        handed_back=True,
        networks=((256, 256), (300, 400), (720, 1280)),
        compiled=((300, 400),),
        seconds=60,
        jobs=make_jobs(whole=True),
        race_inits=("content", "noise"),
        race_steps=200,
        race_first=200,
    )


def quick_plan() -> Plan:
    """Return a plan that runs every section once, in seconds, for tests; its times mean nothing."""
    return Plan(
        name="quick",
        steps=((64, 64),),
        networks=((64, 64),),
        widths={"slim": 16},
        training=(64, 64),
        most_repeats=2,
        jobs=[Job("ours, compact", "compact", 4)],
        job_size=(48, 64),
        race_size=(64, 64),
        race_steps=20,
        race_first=20,
        full="compact",
    )


def format_size(size: Size) -> str:
    """Return WIDTH x HEIGHT."""
    return f"{size[1]} x {size[0]}"
