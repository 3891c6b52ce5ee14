#include "model.hpp"

#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>
#include <stdexcept>

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("there is no " + path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<double> numbers_of(std::istringstream& text, const std::string& where) {
  std::vector<double> numbers;
  for (double number; text >> number;) numbers.push_back(number);
  if (!text.eof()) throw std::runtime_error(where + " is damaged: numbers are expected");
  return numbers;
}

std::vector<std::size_t> shape_of(const std::vector<double>& numbers, const std::string& where) {
  std::vector<std::size_t> shape;
  for (const double size : numbers) {
    if (!(size >= 1 && size <= 1e6)) throw std::runtime_error(where + " is damaged: a size is expected");
    shape.push_back(static_cast<std::size_t>(size));
  }
  return shape;
}

}  // namespace

const std::vector<double>& Model::at_least(const std::string& name, std::size_t count) const {
  const auto found = numbers.find(name);
  if (found == numbers.end() || found->second.size() < count) {
    throw std::runtime_error("model.txt has too few numbers for '" + name + "'; export the ticket again");
  }
  return found->second;
}

Model read_model(const std::string& folder) {
  const std::string path = folder + "/model.txt";
  Model model;
  for (const std::string& line : lines_of(path)) {
    std::istringstream text(line);
    std::string key;
    text >> key >> std::ws;
    const std::string where = path + ": '" + key + "'";
    if (key == "task") {
      text >> model.task;
    } else if (key == "precision") {
      text >> model.precision;
    } else if (key == "input_name") {
      std::getline(text, model.input_name);
    } else if (key == "output_name") {
      std::getline(text, model.output_name);
    } else if (!key.empty()) {
      model.numbers[key] = numbers_of(text, where);
    }
  }
  model.input_shape = shape_of(model.at_least("input_shape", 1), path);
  model.output_shape = shape_of(model.at_least("output_shape", 1), path);
  model.tolerance = model.at_least("tolerance", 1)[0];
  model.classes = lines_of(folder + "/labels.txt");
  return model;
}

std::size_t product(const std::vector<std::size_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
}
