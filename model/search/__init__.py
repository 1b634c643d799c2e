"""Algorithm 1: choose compression methods epoch by epoch, by a rule such as measured latency."""

from bitlathe.model.search.algorithm import Listener, Search, SearchSettings
from bitlathe.model.search.baselines import Baseline, Baselines
from bitlathe.model.search.budget import LatencyBudget
from bitlathe.model.search.checkpoint import Checkpoint, SeenState
from bitlathe.model.search.executors import Executor, LocalProcesses, Sequential
from bitlathe.model.search.lab import Judge, Lab, LabSpec, TrialJob, TrialOutcome
from bitlathe.model.search.ladder import Audit, Ladder, Latency, LatencyRung
from bitlathe.model.search.records import CandidateRecord, EpochRecord, Measures, TrialStage
from bitlathe.model.search.rules import RULES, Context, Rule, RuleError, find_rule
from bitlathe.model.search.strategies import EachEpochTheBest, MethodScript, Strategy, UntilFast

__all__ = [
    "RULES",
    "Audit",
    "Baseline",
    "Baselines",
    "CandidateRecord",
    "Checkpoint",
    "Context",
    "EachEpochTheBest",
    "EpochRecord",
    "Executor",
    "Judge",
    "Lab",
    "LabSpec",
    "Ladder",
    "Latency",
    "LatencyBudget",
    "LatencyRung",
    "Listener",
    "LocalProcesses",
    "Measures",
    "MethodScript",
    "Rule",
    "RuleError",
    "Search",
    "SearchSettings",
    "SeenState",
    "Sequential",
    "Strategy",
    "TrialJob",
    "TrialOutcome",
    "TrialStage",
    "UntilFast",
    "find_rule",
]
