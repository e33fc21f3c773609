// The checks, by subject; each adds its findings. Internal to the doctor.
#pragma once

#include "rdma/doctor/doctor.hpp"

namespace alder::rdma {

// device_checks.cpp: device nodes, devices, ports, addresses, the paths that a run would take
void check_devices(const Patient& patient, const Survey& survey, DoctorReport& report);
void check_ports(const Survey& survey, DoctorReport& report);
void check_paths(const Survey& survey, const DoctorOptions& options, DoctorReport& report);

// link_checks.cpp: MTU, PCIe slot against line rate
void check_mtu(const Survey& survey, DoctorReport& report);
void check_slots(const Patient& patient, const Survey& survey, DoctorReport& report);

// gpu_checks.cpp: how each GPU is reached from each card, BAR1
void check_gpus(const Patient& patient, const Survey& survey, const DoctorOptions& options,
                DoctorReport& report);

// platform_checks.cpp: IOMMU, ACS, ATS, hugepages, CPU governor
void check_pci_routing(const Patient& patient, const Survey& survey, DoctorReport& report);
void check_hugepages(const Patient& patient, DoctorReport& report);
void check_governor(const Patient& patient, DoctorReport& report);

// process_checks.cpp: locked memory, launcher, leftovers
void check_memlock(const Patient& patient, const DoctorOptions& options, DoctorReport& report);
void check_launcher(const Patient& patient, DoctorReport& report);
void check_leftovers(const Patient& patient, DoctorReport& report);

}  // namespace alder::rdma
