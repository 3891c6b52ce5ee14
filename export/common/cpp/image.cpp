#include "image.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "whole.hpp"

namespace {

constexpr int kLargestSide = 32768;

// The next whole number of a header; comments begin with # and end with the line.
int header_number(std::ifstream& file) {
  while (file >> std::ws && file.peek() == '#') {
    while (file && file.get() != '\n') {
    }
  }
  int number = 0;
  return file >> number ? number : -1;
}

std::uint8_t grey_of(const std::uint8_t* rgb) {
  // The weights of ITU-R 601, as Pillow rounds them.
  return static_cast<std::uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 32768u) >> 16);
}

Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  Image made(image.width, image.height, channels);
  const std::size_t count = static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
  for (std::size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      made.pixels[i] = grey_of(&image.pixels[3 * i]);
    } else {
      std::fill_n(&made.pixels[3 * i], 3, image.pixels[i]);
    }
  }
  return made;
}

// Weights of the old pixels under a new one; the first of them is `begin`.
struct Window {
  int begin;
  std::vector<double> weights;
};

std::vector<Window> windows_of(int old_length, double from, double to, int length) {
  const double scale = (to - from) / length, reach = std::max(scale, 1.0);
  std::vector<Window> windows;
  for (int i = 0; i < length; ++i) {
    const double middle = from + (i + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(middle - reach + 0.5));
    const int end = std::min(old_length, static_cast<int>(middle + reach + 0.5));
    Window window{begin, {}};
    double sum = 0;
    for (int old = begin; old < end; ++old) {
      window.weights.push_back(std::max(0.0, 1 - std::abs(old + 0.5 - middle) / reach));
      sum += window.weights.back();
    }
    for (double& weight : window.weights) weight /= sum;
    windows.push_back(window);
  }
  return windows;
}

std::uint8_t rounded(double value) {
  return static_cast<std::uint8_t>(std::clamp(std::floor(value + 0.5), 0.0, 255.0));
}

// A pixel's channels from the old pixels of its window, which lie `step` values apart.
void weigh(const Window& window, const std::uint8_t* old, std::size_t step, int channels,
           std::uint8_t* made) {
  for (int channel = 0; channel < channels; ++channel) {
    double sum = 0;
    for (std::size_t i = 0; i < window.weights.size(); ++i)
      sum += window.weights[i] * old[i * step + static_cast<std::size_t>(channel)];
    made[channel] = rounded(sum);
  }
}

}  // namespace

Image::Image(int columns, int rows, int count)
    : width(columns),
      height(rows),
      channels(count),
      pixels(static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows) *
             static_cast<std::size_t>(count)) {}

std::size_t Image::offset(int x, int y) const {
  return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) *
         static_cast<std::size_t>(channels);
}

Image read_image(const std::string& path, int channels) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("there is no image " + path);
  char magic[2] = {};
  file.read(magic, 2);
  if (!file || magic[0] != 'P' || (magic[1] != '5' && magic[1] != '6')) {
    return with_channels(decoded(path), channels);
  }
  const int width = header_number(file), height = header_number(file), most = header_number(file);
  if (width < 1 || height < 1 || width > kLargestSide || height > kLargestSide || most != 255) {
    throw std::runtime_error(path + " is damaged: a size and 255 are expected in its header");
  }
  file.get();
  Image image(width, height, magic[1] == '6' ? 3 : 1);
  file.read(reinterpret_cast<char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
  if (!file) throw std::runtime_error(path + " is damaged: it ends too early");
  return with_channels(std::move(image), channels);
}

void write_pgm(const std::string& path, const Image& image) {
  std::ostringstream file;
  file << "P5\n" << image.width << ' ' << image.height << "\n255\n";
  file.write(reinterpret_cast<const char*>(image.pixels.data()),
             static_cast<std::streamsize>(image.pixels.size()));
  write_whole(path, file.str());
}

Image resized(const Image& image, const std::array<double, 4>& part, int width, int height) {
  const std::size_t pixel = static_cast<std::size_t>(image.channels);
  const std::vector<Window> columns = windows_of(image.width, part[0], part[2], width);
  const std::vector<Window> rows = windows_of(image.height, part[1], part[3], height);
  Image flat(width, image.height, image.channels);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Window& window = columns[static_cast<std::size_t>(x)];
      weigh(window, image.at(window.begin, y), pixel, image.channels, flat.at(x, y));
    }
  }
  Image made(width, height, image.channels);
  for (int y = 0; y < height; ++y) {
    const Window& window = rows[static_cast<std::size_t>(y)];
    for (int x = 0; x < width; ++x) {
      weigh(window, flat.at(x, window.begin), static_cast<std::size_t>(width) * pixel, image.channels,
            made.at(x, y));
    }
  }
  return made;
}

InputSize input_size(const Model& model) {
  const std::vector<std::size_t>& shape = model.input_shape;
  if (shape.size() != 4 || (shape[1] != 1 && shape[1] != 3) || std::max(shape[2], shape[3]) > kLargestSide) {
    throw std::runtime_error("this network does not take images");
  }
  return {static_cast<int>(shape[2]), static_cast<int>(shape[3]), static_cast<int>(shape[1])};
}

std::vector<float> prepared(const Image& image, const Model& model) {
  const std::size_t channels = static_cast<std::size_t>(image.channels),
                    places = image.pixels.size() / channels;
  const std::vector<double>&mean = model.at_least("mean", channels), &std = model.at_least("std", channels);
  std::vector<float> values(image.pixels.size());
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const float shift = static_cast<float>(mean[channel]), scale = static_cast<float>(std[channel]);
    for (std::size_t i = 0; i < places; ++i) {
      values[channel * places + i] =
          (static_cast<float>(image.pixels[i * channels + channel]) / 255 - shift) / scale;
    }
  }
  return values;
}
