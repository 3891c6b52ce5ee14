// The time of the first sample.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <stdexcept>

#include "npy.hpp"
#include "verbs.hpp"

namespace {

constexpr int kWarmupRuns = 20;

double now_ms(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

// Between the two nearest samples, as NumPy has it.
double percentile(const std::vector<double>& sorted, double percent) {
  const double place = percent / 100 * static_cast<double>(sorted.size() - 1);
  const std::size_t before = static_cast<std::size_t>(place);
  const std::size_t after = std::min(before + 1, sorted.size() - 1);
  return sorted[before] + (place - std::floor(place)) * (sorted[after] - sorted[before]);
}

void show(const char* name, std::vector<double>& times_ms, bool json) {
  std::sort(times_ms.begin(), times_ms.end());
  const char* format = json ? ", \"%s\": {\"p50\": %.6f, \"p90\": %.6f, \"p99\": %.6f}"
                            : "%s: p50 %.4f ms, p90 %.4f ms, p99 %.4f ms\n";
  std::printf(format, name, percentile(times_ms, 50), percentile(times_ms, 90), percentile(times_ms, 99));
}

}  // namespace

int benchmark(Network& network, const Model& model, const Options& options) {
  const Array inputs = read_npy(options.folder + "/samples/inputs.npy");
  if (inputs.images() == 0 || inputs.each() != product(model.input_shape)) {
    throw std::runtime_error("the samples in " + options.folder +
                             " are not of this network; export it again");
  }
  const double begin_ms = now_ms(CLOCK_MONOTONIC);
  network.run(inputs.values.data());
  const double first_ms = now_ms(CLOCK_MONOTONIC) - begin_ms;
  for (int i = 0; i < kWarmupRuns; ++i) network.run(inputs.values.data());
  std::vector<double> wall_ms, cpu_ms;
  for (int i = 0; i < options.runs; ++i) {
    const double wall_begin_ms = now_ms(CLOCK_MONOTONIC), cpu_begin_ms = now_ms(CLOCK_THREAD_CPUTIME_ID);
    network.run(inputs.values.data());
    cpu_ms.push_back(now_ms(CLOCK_THREAD_CPUTIME_ID) - cpu_begin_ms);
    wall_ms.push_back(now_ms(CLOCK_MONOTONIC) - wall_begin_ms);
  }
  const char* head = options.json ? "{\"runtime\": \"%s\", \"threads\": %d, \"runs\": %d, \"first_ms\": %.6f"
                                  : "%s, %d thread(s), %d runs; the first took %.3f ms\n";
  std::printf(head, network.runtime().c_str(), options.threads, options.runs, first_ms);
  show(options.json ? "wall_ms" : "wall clock", wall_ms, options.json);
  // Other programs hardly disturb the thread's own time, but it only counts what this thread computes.
  if (network.computes_in_caller()) show(options.json ? "cpu_ms" : "thread CPU time", cpu_ms, options.json);
  if (options.json) std::puts("}");
  return 0;
}
