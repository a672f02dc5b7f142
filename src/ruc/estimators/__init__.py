"""The doors from Python: scikit-learn estimators, which hold parameters and fitted results and no algorithm."""

from ruc.estimators.image_clusterer import ImageClusterer
from ruc.estimators.robust_clusterer import RobustClusterer
