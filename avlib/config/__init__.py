"""Settings: one frozen model a section, read from conf/default.toml and what is laid over it (see load_settings)."""

from avlib.config.describe import DecodeSettings, DescribeSettings, FetchSettings, IngestSettings
from avlib.config.evaluate import EvaluateSettings
from avlib.config.filter import (
    AgreementSettings,
    ComponentsSettings,
    CopySettings,
    FilterSettings,
    KnnSettings,
    StepSettings,
    StrategySettings,
)
from avlib.config.layers import CONF_FOLDER
from avlib.config.section import Section, hash_of
from avlib.config.settings import Settings, SparkSettings, load_settings
from avlib.config.sound import AudioDescriptor, AudioSettings, ContextSettings, LearnSettings, TrackSettings
from avlib.config.suggest import IndexSettings, ServeSettings, SuggestSettings

__all__ = [
    "CONF_FOLDER",
    "AgreementSettings",
    "AudioDescriptor",
    "AudioSettings",
    "ComponentsSettings",
    "ContextSettings",
    "CopySettings",
    "DecodeSettings",
    "DescribeSettings",
    "EvaluateSettings",
    "FetchSettings",
    "FilterSettings",
    "IndexSettings",
    "IngestSettings",
    "KnnSettings",
    "LearnSettings",
    "Section",
    "ServeSettings",
    "Settings",
    "SparkSettings",
    "StepSettings",
    "StrategySettings",
    "SuggestSettings",
    "TrackSettings",
    "hash_of",
    "load_settings",
]
