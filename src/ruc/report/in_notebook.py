"""What estimators show in a notebook, before `fit` and after it."""

from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ruc.images.source import Images
from ruc.report.data import ReportData
from ruc.report.notebook import display_gallery, summary_html


class InNotebook:
    """Mixed into an estimator: scikit-learn's diagram is shown before `fit`, also what came out after it."""

    def show(self, images: Images | None = None, n_images: int = 12) -> None:
        """Display each cluster's most typical and most doubtful images in the notebook.

        Parameters
        ----------
        images
            The images, in the order of `labels_`, where they aren't known from `fit`: rows of `ruc embed` are sorted by
            file name, whatever the order of its table. Without any, the names of the samples are displayed.
        n_images
            Images of each cluster.

        Raises
        ------
        InputError
            IPython isn't installed, or there are more or fewer images than labels.
        NotFittedError
            `fit` wasn't called.
        """
        check_is_fitted(self)
        display_gallery(self._report_data(images), n_images)

    def _report_data(self, images: Images | None = None) -> ReportData:
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] = self._outcome_html() + bundle["text/html"]
        return bundle

    def _repr_html_inner(self) -> str:
        diagram: str = super()._repr_html_inner()  # type: ignore[misc]
        return self._outcome_html() + diagram

    def _outcome_html(self) -> str:
        try:
            check_is_fitted(self)
        except NotFittedError:
            return ""
        return summary_html(self._report_data())
