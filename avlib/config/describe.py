"""The settings of ingest and describe: which videos, what reading one may cost, how it becomes samples."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avlib.config.section import Section
from avlib.config.sound import AudioSettings, ContextSettings


class IngestSettings(Section):
    """What counts as an input when a folder is walked."""

    extensions: tuple[str, ...]


class FetchSettings(Section):
    """What a video that lies on another machine may cost, and where it may come from."""

    quota_bytes: int = Field(ge=1)
    timeout_s: float = Field(gt=0)
    stall_s: float = Field(gt=0)
    allow_private: bool


class DecodeSettings(Section):
    """What reading one video may cost before it is given up (see avlib.media.Decoder)."""

    stall_s: float = Field(gt=0)
    video_s: float = Field(gt=0)
    memory_mb: int = Field(ge=512)
    max_pixels: int = Field(ge=1)
    max_duration_s: float = Field(gt=0, le=86_400)
    still_s: float = Field(gt=0)
    still_memory_mb: int = Field(ge=512)
    renew_after: int = Field(ge=1)


class DescribeSettings(Section):
    """How a video becomes samples."""

    frame_rate_hz: float = Field(gt=0, le=1000)
    frame_stride: int = Field(ge=1)
    picture_size_px: int = Field(ge=32, le=1024)
    picture_batch: int = Field(ge=1)
    visual_model: str
    visual_weights: str
    device: Literal["auto", "cpu", "cuda"]
    batch_videos: int = Field(ge=1)
    slice_s: float = Field(ge=10)
    audio: AudioSettings
    audio_context: ContextSettings

    @model_validator(mode="after")
    def _tracked(self) -> DescribeSettings:
        if self.audio.sr % self.audio_context.frames_hz:
            raise ValueError(f"audio_context.frames_hz must divide audio.sr = {self.audio.sr}")
        if self.audio_context.fmax > self.audio.sr / 2:
            raise ValueError(f"audio_context.fmax lies at most at audio.sr / 2 = {self.audio.sr / 2:g} Hz")
        return self
