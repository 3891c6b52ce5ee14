#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "image.hpp"
#include "tasks.hpp"

namespace {

// In heatmap cells: a joint lies this much off the middle of the highest cell, towards its higher neighbour.
constexpr double kShift = 0.25;

// How a crop lies in the image: image pixels a crop pixel, and the place of its pixel (0, 0).
struct Crop {
  double step, left, top;
};

// The box, padded and widened to the input's shape, as in training.
Crop crop_of(const std::vector<double>& box, const InputSize& size, double padding) {
  const double step = padding * std::max(box[2] / size.width, box[3] / size.height);
  // A box counts from the pixels' edges, which are half a pixel before their centres.
  const double x = box[0] + box[2] / 2 - 0.5, y = box[1] + box[3] / 2 - 0.5;
  return {step, x - step * (size.width - 1) / 2, y - step * (size.height - 1) / 2};
}

// The image linearly between its four nearest pixels; black outside.
void pick(const Image& image, double x, double y, std::uint8_t* made) {
  if (x < -0.5 || y < -0.5 || x >= image.width - 0.5 || y >= image.height - 0.5) {
    std::fill_n(made, image.channels, std::uint8_t{0});
    return;
  }
  const int column = static_cast<int>(std::floor(x)), row = static_cast<int>(std::floor(y));
  const double right = x - column, below = y - row;
  const int left = std::max(column, 0), last_column = std::min(column + 1, image.width - 1);
  const int above = std::max(row, 0), last_row = std::min(row + 1, image.height - 1);
  for (int channel = 0; channel < image.channels; ++channel) {
    const double first =
        image.at(left, above)[channel] * (1 - right) + image.at(last_column, above)[channel] * right;
    const double second =
        image.at(left, last_row)[channel] * (1 - right) + image.at(last_column, last_row)[channel] * right;
    made[channel] = static_cast<std::uint8_t>(first * (1 - below) + second * below);
  }
}

Image cut(const Image& image, const Crop& crop, const InputSize& size) {
  Image made(size.width, size.height, size.channels);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x)
      pick(image, crop.left + crop.step * x, crop.top + crop.step * y, made.at(x, y));
  }
  return made;
}

// How far a peak lies off the middle of its cell; on the border one neighbour is unknown.
double shift(const float* peak, std::size_t place, std::size_t count, std::size_t step) {
  if (place == 0 || place + 1 == count) return 0;
  const float before = *(peak - step), after = *(peak + step);
  return after > before ? kShift : after < before ? -kShift : 0;
}

}  // namespace

void find_joints(Network& network, const Model& model, const std::string& path, const Options& options) {
  const InputSize size = input_size(model);
  if (model.output_shape.size() != 4) throw std::runtime_error("this network does not give heatmaps");
  const Image image = read_image(path, size.channels);
  const std::vector<double> whole{0, 0, static_cast<double>(image.width), static_cast<double>(image.height)};
  const Crop crop =
      crop_of(options.box.empty() ? whole : options.box, size, model.at_least("box_padding", 1)[0]);
  const std::vector<float>& heatmaps = network.run(prepared(cut(image, crop, size), model).data());
  const std::size_t rows = model.output_shape[2], columns = model.output_shape[3];
  const double stride = model.at_least("output_stride", 1)[0];
  std::printf("%s: ", path.c_str());
  for (std::size_t joint = 0; joint < model.output_shape[1]; ++joint) {
    const float* heatmap = heatmaps.data() + joint * rows * columns;
    const float* peak = std::max_element(heatmap, heatmap + rows * columns);
    const std::size_t cell = static_cast<std::size_t>(peak - heatmap), row = cell / columns,
                      column = cell % columns;
    const double x = (static_cast<double>(column) + shift(peak, column, columns, 1) + 0.5) * stride - 0.5;
    const double y = (static_cast<double>(row) + shift(peak, row, rows, columns) + 0.5) * stride - 0.5;
    std::printf("%s%s %.1f,%.1f (%.2f)", joint ? ", " : "", model.classes[joint].c_str(),
                crop.left + crop.step * x, crop.top + crop.step * y, static_cast<double>(*peak));
  }
  std::puts("");
}
