import dataclasses

import pytest

from known import DATASETS
from lung_attention.data.published import load_published

RESULTS = load_published().results


def test_six_results_three_datasets_two_backbones():
    assert {(result.dataset, result.backbone) for result in RESULTS} == {
        (dataset, backbone)
        for dataset in ("iqoth", "lc25000", "lidc")
        for backbone in ("densenet121", "mobilenetv2")
    }


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: f"{result.dataset}-{result.backbone}")
def test_the_figures_of_a_result_agree(result):
    matrix = result.confusion_matrix
    assert sum(map(sum, matrix)) == result.n_test
    assert sum(matrix[k][k] for k in range(len(matrix))) == result.n_right
    assert result.n_right / result.n_test == pytest.approx(result.test_accuracy, abs=1e-6)
    assert result.classes == DATASETS[result.dataset].labels


def test_an_accuracy_that_is_no_count_is_refused():
    with pytest.raises(ValueError, match="is no count"):
        dataclasses.replace(RESULTS[0], test_accuracy=0.99)


def test_the_abstract_is_quoted_beside():
    claims = {claim.dataset: claim.accuracy for claim in load_published().abstract_claims}
    assert claims == {"iqoth": 0.9956, "lidc": 0.9541}
    assert load_published().common.epochs == 100
