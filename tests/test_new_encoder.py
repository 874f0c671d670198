"""CONTRIBUTING.md says what another encoder takes: it is done here as it is written."""

import shutil
import subprocess

from recipe_runs import ROOT, environment, pipeline_says, recipe_command, record

NEW = '''
class MeanEncoder(SequenceEncoder):
    """The mean of the sentence added to each word, after a linear map."""

    uses = ("num_layers",)

    def __init__(self, config: PreTrainedConfig, input_size: int):
        super().__init__(config, input_size)
        sizes = [input_size] + [config.hidden_size] * (self.num_layers - 1)
        self.maps = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in sizes)
        self.reset_parameters()

    def layers(self, vectors: Tensor, mask: Tensor) -> list[Tensor]:
        outputs, hidden = [], without_padding(vectors, mask)
        for linear in self.maps:
            mapped = without_padding(torch.tanh(linear(hidden)), mask)
            mean = mapped.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
            hidden = without_padding(mapped + mean, mask)
            outputs.append(hidden)
        return outputs


ENCODERS'''


def test_another_encoder_is_a_class_and_a_line(tmp_path):
    """CONTRIBUTING.md, done in a copy of the package: it trains by its name, and loads where no package is."""
    shutil.copytree(ROOT / "hf_tagging", tmp_path / "hf_tagging", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "hf_tagging" / "models" / "sequence_encoders.py"
    before, _, after = file.read_text().partition("\n\nENCODERS")
    file.write_text(
        f"{before}\n{NEW}{after}".replace(
            '    "mlp": MlpEncoder,\n', '    "mlp": MlpEncoder,\n    "mean": MeanEncoder,\n'
        )
    )
    few = ("--max_train_samples", 40, "--max_eval_samples", 10, "--num_train_epochs", 1, "--use_cpu")
    command = recipe_command(
        "pos_baseline", "--dataset", "sample", "--encoder", "mean", "--output_dir", tmp_path / "run", *few
    )
    env = environment(PYTHONPATH=str(tmp_path))
    done = subprocess.run([*command, "--num_layers", "2"], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert record(tmp_path / "run")["arguments"]["encoder"] == "mean"
    said = pipeline_says([tmp_path / "run"], "A book in May.", package=False, scratch=tmp_path)
    assert len(said[tmp_path / "run"][0]) > 3
