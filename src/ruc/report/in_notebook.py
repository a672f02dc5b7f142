"""What estimators show in a notebook, before `fit` and after it."""

from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ruc.images.source import Images
from ruc.report.data import ReportData
from ruc.report.notebook import Part, display_part, summary_html


class InNotebook:
    """Mixed into an estimator: scikit-learn's diagram is shown before `fit`, also what came out after it."""

    def show(
        self,
        images: Images | None = None,
        n_images: int = 12,
        cluster: int | str | None = None,
        part: Part = "clusters",
    ) -> None:
        """Display what came out in the notebook, as HTML without scripts.

        Parameters
        ----------
        images
            The images, in the order of `labels_`, where they aren't known from `fit`: rows of `ruc embed` are sorted by
            file name, whatever the order of its table. Without any, the names of the samples are displayed.
        n_images
            Images of each cluster, of each row, or to review.
        cluster
            The number or name of one cluster: its typical, doubtful and farthest images.
        part
            "clusters": each one's most typical and most doubtful images; "map": alike images close together; "review":
            the images most worth a look, each with its nearest ones.

        Raises
        ------
        InputError
            IPython isn't installed, there are more or fewer images than labels, or no such cluster or part.
        NotFittedError
            `fit` wasn't called.
        """
        check_is_fitted(self)
        display_part(self._report_data(images), n_images, cluster, part)

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
