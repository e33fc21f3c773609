#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "rdma/devices/memlock.hpp"
#include "rdma/doctor/checks.hpp"
#include "rdma/doctor/pci.hpp"
#include "rdma/memory/gpudirect_support.hpp"

namespace alder::rdma {
namespace {

constexpr const char* kStagingRemedy =
    "install the driver's open kernel modules (dma-buf, Linux 5.12 or newer), or modprobe nvidia-peermem; "
    "without "
    "either, --allow-staging copies through host memory, up to ten times slower";

// What the CUDA driver says of the GPUs, by PCI address; empty without one.
std::map<PciAddress, GpuAttributes> known_attributes(const Patient& patient) {
  std::map<PciAddress, GpuAttributes> known;
  for (int device = 0; patient.gpu != nullptr && device < patient.gpu->devices(); ++device) {
    const GpuAttributes attributes = patient.gpu->attributes(device);
    known[attributes.pci] = attributes;
  }
  return known;
}

// Why the verbs driver of each card cannot register dma-bufs; empty: it can.
std::map<std::string, std::string> card_obstacles(const Patient& patient, const Survey& survey) {
  std::map<std::string, std::string> obstacles;
  for (const DeviceFacts& device : survey.devices) {
    if (!device.problem.empty()) continue;
    try {
      const Context context = open_device(patient.verbs, device.name);
      obstacles[device.name] = why_no_dma_buf(alloc_pd(context));
    } catch (const Error& error) {
      obstacles[device.name] = error.what();
    }
  }
  return obstacles;
}

struct Reach {
  std::string path, why;
};

Reach reach(const GpudirectSupport& support, const GpuAttributes* gpu, const std::string& card_obstacle) {
  std::string against = support.against_dma_buf();
  if (against.empty() && gpu != nullptr && !gpu->dma_buf_supported)
    against = "the driver offers none for this GPU";
  if (against.empty()) against = card_obstacle;
  if (against.empty()) return {.path = "dma-buf"};
  const std::string why = "no dma-buf: " + against;
  if (support.peermem.empty())
    return {.path = "none", .why = why + "; no nvidia-peermem: its module is not loaded"};
  if (gpu != nullptr && !gpu->rdma_supported) {
    return {.path = "none", .why = why + "; no nvidia-peermem: this GPU does not support GPUDirect RDMA"};
  }
  return {.path = "nvidia-peermem", .why = why};
}

// The nearest card, and by what way it reaches the GPU.
Finding judge_gpu(const std::string& gpu, const std::vector<GpuCardPair>& pairs,
                  const std::map<std::string, Distance>& distances) {
  Finding finding{.check = "gpudirect", .subject = gpu};
  const auto nearest =
      std::ranges::min_element(pairs, {}, [&](const GpuCardPair& pair) { return distances.at(pair.card); });
  finding.measured = fmt::format("nearest card {} ({}), {}", nearest->card, nearest->distance,
                                 nearest->path == "none" ? "no direct access" : "by " + nearest->path);
  if (!nearest->why.empty()) finding.details.push_back(nearest->why);
  for (const GpuCardPair& pair : pairs) {  // only what differs
    if (pair.path != nearest->path || pair.why != nearest->why) {
      finding.details.push_back(
          fmt::format("{}: {}{}{}", pair.card, pair.path, pair.why.empty() ? "" : ", ", pair.why));
    }
  }
  const Distance distance = distances.at(nearest->card);
  if (nearest->path == "none") {
    finding.level = Level::fail;
    finding.remedy = kStagingRemedy;
  } else if (!is_direct(distance)) {
    finding.level = Level::warn;
    finding.remedy =
        "data cross a host bridge or the link between sockets; put card and GPU on one PCIe switch, or "
        "compare with --allow-staging";
  } else if (nearest->path == "nvidia-peermem") {
    finding.level = Level::warn;
    finding.remedy = "nvidia-peermem works, but is on its way out; dma-buf needs what the line above names";
  }
  return finding;
}

void check_driver(const Patient& patient, const GpudirectSupport& support, DoctorReport& report) {
  Finding finding{.check = "gpu driver"};
  if (support.driver.empty()) {
    finding.level = Level::fail;
    finding.measured = "the NVIDIA kernel driver is not loaded";
    finding.remedy = "modprobe nvidia; in a container, start it with --gpus all";
  } else {
    finding.measured =
        fmt::format("{}, {} kernel modules, {}", support.driver, support.open_modules ? "open" : "closed",
                    support.peermem.empty() ? std::string("no nvidia-peermem") : support.peermem);
    if (patient.gpu == nullptr) finding.details.push_back("not asked through CUDA: " + patient.why_no_gpu);
  }
  report.add(std::move(finding));
}

void check_bar1(const Patient& patient, const PciAddress& gpu, const GpuAttributes* attributes,
                const DoctorOptions& options, DoctorReport& report) {
  constexpr int kBar1 = 1;
  constexpr uint64_t kSmall = 256 << 20;
  Finding finding{.check = "bar1", .subject = to_string(gpu)};
  const auto window = bar_bytes(patient.files, gpu, kBar1);
  // Published buffers and slots, of which cards see the window only (memlock.hpp counts the same arrays on
  // the CPU).
  const uint64_t need = memlock_need(options.model_bytes, options.neighbours, 1, false).arrays_bytes();
  if (!window) {
    finding.level = Level::skip;
    finding.measured = "its size cannot be read";
  } else {
    finding.measured = describe_bytes(*window);
    if (attributes != nullptr) finding.measured += " of " + describe_bytes(attributes->memory_bytes);
    finding.measured += fmt::format("; {} with {} neighbours needs {}", options.model, options.neighbours,
                                    describe_bytes(need));
    if (need > *window) {
      finding.level = Level::fail;
      finding.remedy =
          "enable Above 4G Decoding and Resizable BAR in the BIOS, or use a data-centre card, which maps "
          "all of its memory";
    } else if (*window <= kSmall) {
      finding.level = Level::warn;
      finding.remedy = "enough for this model; for larger ones enable Resizable BAR in the BIOS";
    }
  }
  report.add(std::move(finding));
}

}  // namespace

void check_gpus(const Patient& patient, const Survey& survey, const DoctorOptions& options,
                DoctorReport& report) {
  const auto gpus = find_gpus(patient.files);
  if (gpus.empty()) {
    report.add({.check = "gpudirect", .level = Level::skip, .measured = "no NVIDIA GPU on the PCI bus"});
    return;
  }
  const GpudirectSupport support = read_gpudirect_support(patient.files);
  check_driver(patient, support, report);
  const auto attributes = known_attributes(patient);
  const auto obstacles = card_obstacles(patient, survey);
  for (const PciAddress& gpu : gpus) {
    const auto known = attributes.find(gpu);
    const GpuAttributes* asked = known == attributes.end() ? nullptr : &known->second;
    std::vector<GpuCardPair> pairs;
    std::map<std::string, Distance> distances;
    for (const DeviceFacts& device : survey.devices) {
      if (!device.pci || !device.problem.empty()) continue;
      const Distance distance = patient.topology.distance(gpu, *device.pci);
      const Reach found = reach(support, asked, obstacles.at(device.name));
      distances[device.name] = distance;
      pairs.push_back({.gpu = to_string(gpu),
                       .card = device.name,
                       .distance = std::string(to_string(distance)),
                       .path = found.path,
                       .why = found.why});
    }
    if (pairs.empty()) {
      report.add({.check = "gpudirect",
                  .subject = to_string(gpu),
                  .level = Level::skip,
                  .measured = "no card on the PCI bus that could reach it"});
    } else {
      report.add(judge_gpu(to_string(gpu), pairs, distances));
    }
    check_bar1(patient, gpu, asked, options, report);
    report.pairs.insert(report.pairs.end(), pairs.begin(), pairs.end());
  }
}

}  // namespace alder::rdma
