"""A small collection of made-up videos with known labels, to show and to test the whole way.

Six categories, each drawn and synthesised with its own random shapes, colours, light, camera, pitch and pace;
picture and sound keep the same rhythm:

| category   | picture                                          | sound                                     |
| ---------- | ------------------------------------------------ | ----------------------------------------- |
| bell       | a bell that swings in a stone arch               | strokes of a cast bell, ringing on        |
| bird       | a small bird on a branch in front of leaves      | phrases of whistles that sweep in pitch   |
| clock      | a pendulum clock on a wall                       | tick and tock in a wooden case            |
| fire       | a camp fire at night, or one in a brick hearth   | crackle over a low roar                   |
| helicopter | a helicopter in the sky above hills              | blade chop, wind and turbine whine        |
| sea        | waves that roll in under a sky                   | surf that swells and falls                |

Over known stretches, about 35-40 % of all time, a voice, music or another category's sound takes the place of
the true one: in each six videos of a category, two are clean, three are half clean, one is hardly clean.
"""

from avlib.demo.flawed import FLAWED, write_flawed
from avlib.demo.make import LABEL_COLUMNS, QUERIES_PER_CATEGORY, DemoCollection, make_collection
from avlib.demo.plan import CATEGORIES, DISTRACTORS

__all__ = [
    "CATEGORIES",
    "DISTRACTORS",
    "FLAWED",
    "LABEL_COLUMNS",
    "QUERIES_PER_CATEGORY",
    "DemoCollection",
    "make_collection",
    "write_flawed",
]
