#include "options.hpp"

#include <cstdlib>
#include <sstream>
#include <stdexcept>

const char* const kUsage =
    "usage: runner predict BUNDLE IMAGE... [--top N] [--box LEFT,TOP,WIDTH,HEIGHT] [--threads N]\n"
    "       runner check BUNDLE [--output FILE.npy] [--threads N]\n"
    "       runner benchmark BUNDLE [--runs N] [--json] [--threads N]\n";

namespace {

int positive(const std::string& name, const std::string& text) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '\0' || value < 1 || value > 1000000000) {
    throw std::runtime_error(name + " needs a whole number from 1 on, not '" + text + "'");
  }
  return static_cast<int>(value);
}

std::vector<double> box_of(const std::string& text) {
  std::istringstream parts(text);
  std::vector<double> box;
  for (std::string part; std::getline(parts, part, ',');) {
    char* end = nullptr;
    box.push_back(std::strtod(part.c_str(), &end));
    if (end == part.c_str() || *end != '\0') box.clear();
  }
  if (box.size() != 4 || !(box[2] > 0 && box[3] > 0)) {
    throw std::runtime_error("--box needs LEFT,TOP,WIDTH,HEIGHT in pixels, not '" + text + "'");
  }
  return box;
}

void set(Options& options, const std::string& name, const std::string& value) {
  if (name == "--threads") {
    options.threads = positive(name, value);
  } else if (name == "--runs") {
    options.runs = positive(name, value);
  } else if (name == "--top") {
    options.top = positive(name, value);
  } else if (name == "--box") {
    options.box = box_of(value);
  } else if (name == "--output") {
    options.output = value;
  } else {
    throw std::runtime_error("unknown option " + name + "; runner --help lists them");
  }
}

}  // namespace

Options parse_options(int count, char** arguments) {
  Options options;
  std::vector<std::string> places;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--json") {
      options.json = true;
    } else if (argument.compare(0, 2, "--") != 0) {
      places.push_back(argument);
    } else if (++i < count) {
      set(options, argument, arguments[i]);
    } else {
      throw std::runtime_error(argument + " needs a value");
    }
  }
  if (places.size() < 2) throw std::runtime_error("a verb and a bundle are needed; see runner --help");
  options.verb = places[0];
  options.folder = places[1];
  options.images.assign(places.begin() + 2, places.end());
  return options;
}
