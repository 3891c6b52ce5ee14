// What images show, by the network's task.
#include <stdexcept>

#include "tasks.hpp"
#include "verbs.hpp"

int predict(Network& network, const Model& model, const Options& options) {
  using Task = void (*)(Network&, const Model&, const std::string&, const Options&);
  const Task task = model.task == "classification" ? classify
                    : model.task == "segmentation" ? segment
                    : model.task == "keypoints"    ? find_joints
                                                   : nullptr;
  if (task == nullptr) {
    throw std::runtime_error("this runner reads no images for the task '" + model.task +
                             "'; check and benchmark work");
  }
  if (options.images.empty()) throw std::runtime_error("predict needs an image; see runner --help");
  if (model.classes.size() < model.output_shape.at(1)) {
    throw std::runtime_error(
        "labels.txt has fewer lines than the network has outputs; export the ticket again");
  }
  for (const std::string& image : options.images) task(network, model, image, options);
  return 0;
}
