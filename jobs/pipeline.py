"""pipeline: videos in, a filtered collection that suggests sounds out. Every stage can be run by itself:

    ingest        inputs                                → videos
    describe      videos                                → samples, descriptions, descriptor_stats
    filter        where the strategy is scored:
      copies        samples                             → copies
      agreement     samples, copies                     → scores
                  for every step of the strategy, inside the components of the step before:
      knn           samples, components of step - 1     → neighbors
      mutual_edges  neighbors                           → mutual_edges, step_stats
      components    mutual_edges                        → components, component_stats
      collection    samples, videos, components         → collection
    index         collection                            → FAISS shards

The order itself is in avlib/spark/pipeline.py.
"""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["pipeline", *sys.argv[1:]])
