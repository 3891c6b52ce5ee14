// The outputs for the samples against those of PyTorch.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "npy.hpp"
#include "verbs.hpp"

namespace {

constexpr int kWrongNumbers = 5;
constexpr double kSmallestOutput = 1e-12;

// What an image's outputs say: for every place the largest class, or for every joint the cell of its peak.
std::vector<std::size_t> decisions_of(const float* outputs, const Model& model) {
  const std::vector<std::size_t>& shape = model.output_shape;
  const std::size_t classes = shape.size() > 1 ? shape[1] : 1, places = product(shape) / classes;
  const bool peaks = model.task == "keypoints";
  const std::size_t choices = peaks ? places : classes, next_choice = peaks ? 1 : places;
  const std::size_t next_decision = peaks ? places : 1;
  std::vector<std::size_t> found(peaks ? classes : places, 0);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const float* values = outputs + i * next_decision;
    for (std::size_t j = 1; j < choices; ++j) {
      if (values[j * next_choice] > values[found[i] * next_choice]) found[i] = j;
    }
  }
  return found;
}

struct Comparison {
  double difference = 0, largest = kSmallestOutput;
  std::size_t same = 0, decisions = 0;
  bool numbers = true;

  void add(const float* expected, const float* actual, const Model& model) {
    for (std::size_t i = 0; i < product(model.output_shape); ++i) {
      const double apart = std::abs(static_cast<double>(expected[i]) - actual[i]);
      numbers = numbers && !std::isnan(apart);
      difference = std::max(difference, apart);
      largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    }
    const std::vector<std::size_t> wanted = decisions_of(expected, model),
                                   found = decisions_of(actual, model);
    decisions += wanted.size();
    for (std::size_t i = 0; i < wanted.size(); ++i) same += wanted[i] == found[i];
  }
};

}  // namespace

int check(Network& network, const Model& model, const Options& options) {
  const Array inputs = read_npy(options.folder + "/samples/inputs.npy");
  const Array expected = read_npy(options.folder + "/samples/expected.npy");
  if (inputs.images() == 0 || inputs.each() != product(model.input_shape) ||
      expected.images() != inputs.images() || expected.each() != product(model.output_shape)) {
    throw std::runtime_error("the samples in " + options.folder +
                             " are not of this network; export it again");
  }
  Array outputs{expected.shape, {}};
  Comparison compared;
  for (std::size_t i = 0; i < inputs.images(); ++i) {
    const std::vector<float>& one = network.run(inputs.values.data() + i * inputs.each());
    compared.add(expected.values.data() + i * expected.each(), one.data(), model);
    outputs.values.insert(outputs.values.end(), one.begin(), one.end());
  }
  if (!options.output.empty()) write_npy(options.output, outputs);
  const double share = compared.numbers ? compared.difference / compared.largest : NAN;
  std::printf("%zu samples: max abs difference %.3g (%.3g of the largest output), same decisions %.2f %%\n",
              inputs.images(), compared.numbers ? compared.difference : NAN, share,
              100.0 * static_cast<double>(compared.same) / static_cast<double>(compared.decisions));
  if (share <= model.tolerance) return 0;
  std::fprintf(
      stderr,
      "error: the outputs differ from PyTorch's by more than %g of the largest one; export the ticket "
      "again\n",
      model.tolerance);
  return kWrongNumbers;
}
