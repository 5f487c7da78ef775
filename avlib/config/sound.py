"""The settings of sound descriptors: the paper's, the one over seconds, the learned one."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from avlib.config.section import Section

AudioDescriptor: TypeAlias = Literal["audio_mfcc65", "audio_context", "audio_learned"]
"""The sound descriptors: the paper's, the one over seconds, the learned one."""


class AudioSettings(Section):
    """How sound is described. Names and meaning as in librosa.feature.mfcc."""

    window_frames: tuple[int, ...] = Field((1, 3, 5, 7, 9), min_length=1)
    sr: int = Field(16000, ge=1000, le=192_000)
    n_mfcc: int = Field(13, ge=1)
    n_mels: int = Field(40, ge=1)
    fmin: float = Field(0.0, ge=0)
    fmax: float = Field(8000.0, gt=0)
    window: str = "hann"
    power: float = Field(2.0, gt=0)
    top_db: float = Field(80.0, ge=0)
    amin: float = Field(1e-10, gt=0)
    ref: float = Field(1.0, gt=0)
    dct_type: Literal[1, 2, 3] = 2
    norm: Literal["ortho"] | None = "ortho"
    lifter: float = Field(0.0, ge=0)
    htk: bool = False
    mel_norm: Literal["slaney"] | None = "slaney"

    @model_validator(mode="after")
    def _consistent(self) -> AudioSettings:
        if min(self.window_frames) < 1:
            raise ValueError("window_frames: every window is at least 1 frame long")
        if not self.fmin < self.fmax <= self.sr / 2:
            raise ValueError(f"fmax must lie above fmin and at most at sr / 2 = {self.sr / 2:g} Hz")
        if self.n_mfcc > self.n_mels:
            raise ValueError("n_mfcc cannot be larger than n_mels")
        return self


class TrackSettings(Section):
    """Sound as a track of short log-mel frames (see avlib.descriptors.log_mel_track)."""

    frames_hz: int = Field(50, ge=1)
    frame_s: float = Field(0.04, gt=0, le=1)
    n_mels: int = Field(40, ge=1)
    fmin: float = Field(0.0, ge=0)
    fmax: float = Field(8000.0, gt=0)
    amin: float = Field(1e-10, gt=0)


class ContextSettings(TrackSettings):
    """How the sound around a sample is summed up (see avlib.descriptors.audio_context)."""

    span_s: float = Field(1.0, gt=0, le=60)
    n_mfcc: int = Field(20, ge=1)
    slope_frames: int = Field(9, ge=3)

    @model_validator(mode="after")
    def _consistent(self) -> ContextSettings:
        if self.n_mfcc > self.n_mels:
            raise ValueError("n_mfcc cannot be larger than n_mels")
        if self.slope_frames % 2 == 0:
            raise ValueError("slope_frames: an odd number, as many frames before as after")
        return self


class SoundTrackSettings(TrackSettings):
    """The track that the learned descriptor hears."""

    sr: int = Field(16000, ge=1000, le=192_000)

    @model_validator(mode="after")
    def _fits(self) -> SoundTrackSettings:
        if self.sr % self.frames_hz:
            raise ValueError(f"frames_hz must divide sr = {self.sr}")
        if not self.fmin < self.fmax <= self.sr / 2:
            raise ValueError(f"fmax must lie above fmin and at most at sr / 2 = {self.sr / 2:g} Hz")
        return self


class LearnSettings(Section):
    """How a sound descriptor is learned from the collection's own sound (see avlib.learning)."""

    videos: int = Field(ge=4)
    minutes_per_video: float = Field(gt=0)
    held_out: float = Field(gt=0, lt=1)
    steps: int = Field(ge=1)
    pairs: int = Field(ge=2)
    seed: int = Field(ge=0)
    processes: int = Field(ge=1)
    checkpoint_steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    temperature: float = Field(gt=0)
    apart_s: float = Field(ge=0)
    window_s: float = Field(ge=0.2, le=30)
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=3)
    projection: int = Field(ge=2)
    gain_db: float = Field(ge=0)
    equaliser_db: float = Field(ge=0)
    masks: int = Field(ge=0)
    track: SoundTrackSettings

    @property
    def window_frames(self) -> int:
        """Frames of the track that are heard at a time."""
        return round(self.window_s * self.track.frames_hz)
