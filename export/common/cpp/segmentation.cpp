#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <stdexcept>

#include "image.hpp"
#include "tasks.hpp"

namespace {

// The whole image scaled until it fits; the rest has the mean colour, as in training.
Image inside(const Image& image, const InputSize& size, const Model& model, int* drawn_width,
             int* drawn_height) {
  const double scale = std::min(static_cast<double>(size.height) / image.height,
                                static_cast<double>(size.width) / image.width);
  // Halves go to the even number, as in Python.
  *drawn_width = std::clamp(static_cast<int>(std::nearbyint(image.width * scale)), 1, size.width);
  *drawn_height = std::clamp(static_cast<int>(std::nearbyint(image.height * scale)), 1, size.height);
  const Image drawn =
      resized(image, {0, 0, static_cast<double>(image.width), static_cast<double>(image.height)},
              *drawn_width, *drawn_height);
  const std::vector<double>& mean = model.at_least("mean", static_cast<std::size_t>(size.channels));
  Image canvas(size.width, size.height, size.channels);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (int channel = 0; channel < size.channels; ++channel) {
        const bool covered = x < *drawn_width && y < *drawn_height;
        canvas.at(x, y)[channel] =
            covered
                ? drawn.at(x, y)[channel]
                : static_cast<std::uint8_t>(std::nearbyint(255 * mean[static_cast<std::size_t>(channel)]));
      }
    }
  }
  return canvas;
}

// Where a new pixel lies between two old ones; the border goes on as it is.
struct Place {
  std::size_t before, after;
  float weight;
};

std::vector<Place> places_of(std::size_t count, int length) {
  std::vector<Place> places;
  for (int i = 0; i < length; ++i) {
    const double last = static_cast<double>(count - 1);
    const double place = std::clamp((i + 0.5) * static_cast<double>(count) / length - 0.5, 0.0, last);
    const std::size_t before = static_cast<std::size_t>(place);
    places.push_back(
        {before, std::min(before + 1, count - 1), static_cast<float>(place - std::floor(place))});
  }
  return places;
}

// The largest class of every input pixel; the logits are enlarged, down first and then across.
Image classes_of(const std::vector<float>& logits, const std::vector<std::size_t>& shape,
                 const InputSize& size) {
  const std::size_t rows = shape[2], columns = shape[3];
  const std::vector<Place> down = places_of(rows, size.height), across = places_of(columns, size.width);
  Image classes(size.width, size.height, 1);
  std::vector<float> line(columns), best(static_cast<std::size_t>(size.width));
  for (int y = 0; y < size.height; ++y) {
    const Place& row = down[static_cast<std::size_t>(y)];
    for (std::size_t kind = 0; kind < shape[1]; ++kind) {
      const float* plane = logits.data() + kind * rows * columns;
      for (std::size_t x = 0; x < columns; ++x) {
        line[x] =
            plane[row.before * columns + x] * (1 - row.weight) + plane[row.after * columns + x] * row.weight;
      }
      for (std::size_t x = 0; x < best.size(); ++x) {
        const float value =
            line[across[x].before] * (1 - across[x].weight) + line[across[x].after] * across[x].weight;
        if (kind > 0 && !(value > best[x])) continue;
        best[x] = value;
        *classes.at(static_cast<int>(x), y) = static_cast<std::uint8_t>(kind);
      }
    }
  }
  return classes;
}

// The drawn part of the classes in another size, each pixel that of the nearest one.
Image nearest(const Image& classes, int drawn_width, int drawn_height, int width, int height) {
  Image made(width, height, 1);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      *made.at(x, y) =
          *classes.at((2 * x + 1) * drawn_width / (2 * width), (2 * y + 1) * drawn_height / (2 * height));
    }
  }
  return made;
}

void show_shares(const Image& classes, const std::vector<std::string>& names) {
  std::vector<std::size_t> counts(names.size(), 0), order(names.size());
  for (const std::uint8_t kind : classes.pixels) ++counts[kind];
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
  for (const std::size_t kind : order) {
    if (counts[kind] == 0) break;
    const double share = static_cast<double>(counts[kind]) / static_cast<double>(classes.pixels.size());
    std::printf("%s%s %.1f %%", kind == order[0] ? "" : ", ", names[kind].c_str(), 100 * share);
  }
}

}  // namespace

void segment(Network& network, const Model& model, const std::string& path, const Options&) {
  const InputSize size = input_size(model);
  if (model.output_shape.size() != 4 || model.output_shape[1] > 256) {
    throw std::runtime_error("this network does not give maps of at most 256 classes");
  }
  const Image image = read_image(path, size.channels);
  int drawn_width = 0, drawn_height = 0;
  const Image canvas = inside(image, size, model, &drawn_width, &drawn_height);
  const Image classes = classes_of(network.run(prepared(canvas, model).data()), model.output_shape, size);
  const Image shown = nearest(classes, drawn_width, drawn_height, image.width, image.height);
  const std::size_t dot = path.find_last_of('.');
  const std::string written = path.substr(0, dot) + ".classes.pgm";
  write_pgm(written, shown);
  std::printf("%s: ", path.c_str());
  show_shares(shown, model.classes);
  std::printf(" -> %s\n", written.c_str());
}
