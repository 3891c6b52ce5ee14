#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "image.hpp"
#include "tasks.hpp"

namespace {

// The square (or the input's shape) in the middle of the image, as in training; `share` of the shorter side.
std::array<double, 4> middle(const Image& image, const InputSize& size, double share) {
  const double shape = static_cast<double>(size.width) / size.height;
  const double width = share * std::min<double>(image.width, shape * image.height);
  const double height = share * std::min<double>(image.height, image.width / shape);
  const double left = (image.width - width) / 2, top = (image.height - height) / 2;
  return {left, top, left + width, top + height};
}

// Probabilities.
std::vector<double> softmax(const std::vector<float>& outputs) {
  const double most = *std::max_element(outputs.begin(), outputs.end());
  std::vector<double> scores;
  for (const float output : outputs) scores.push_back(std::exp(output - most));
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  for (double& score : scores) score /= sum;
  return scores;
}

}  // namespace

void classify(Network& network, const Model& model, const std::string& path, const Options& options) {
  const InputSize size = input_size(model);
  const Image image = read_image(path, size.channels);
  // Bundles of before have none.
  const double share = model.numbers.count("crop_share") ? model.at_least("crop_share", 1)[0] : 1;
  const Image seen = resized(image, middle(image, size, share), size.width, size.height);
  const std::vector<double> scores = softmax(network.run(prepared(seen, model).data()));
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(options.top)));
  std::printf("%s: ", path.c_str());
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::printf("%s%s %.1f %%", i ? ", " : "", model.classes[order[i]].c_str(), 100 * scores[order[i]]);
  }
  std::puts("");
}
