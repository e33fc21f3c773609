// The body of blas.hpp for devices, over cuBLASLt. Compiled by the host compiler; holds no kernels.
//
// cuBLASLt thinks in column-major matrices. A row-major matrix is its transpose in column-major order, so
// c = a b is asked for as c^T = b^T a^T: b is the first operand, rows and columns change places, and no
// operand moves.
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "cuda/blas.hpp"

namespace alder::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;  // what NVIDIA recommends for Hopper

std::string to_string(const Product& p) {
  return fmt::format("product {}x{}x{} (a{}, b{}, {}{})", p.rows, p.columns, p.inner,
                     p.a_transposed ? " transposed" : "", p.b_transposed ? " transposed" : "",
                     p.bf16_result ? "bf16" : "float32", p.accumulate ? ", accumulated" : "");
}

void check(cublasStatus_t status, const char* call, const Product& product) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail("{} for {}: {} ({})", call, to_string(product), cublasLtGetStatusString(status),
       static_cast<int>(status));
}

// Owners of the library's handles: Handle is a pointer type.
template <typename Handle, cublasStatus_t (*destroy)(Handle)>
struct Destroy {
  using pointer = Handle;
  void operator()(Handle handle) const noexcept { destroy(handle); }
};
template <typename Handle, cublasStatus_t (*destroy)(Handle)>
using Owned = std::unique_ptr<Handle, Destroy<Handle, destroy>>;
using Library = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

struct Plan {
  Operation operation;
  Layout first, second, result;
  cublasLtMatmulAlgo_t algorithm;
};

// Of a matrix that lies in memory as `rows` rows of `columns` values.
Layout layout(const Product& product, cudaDataType type, int64_t rows, int64_t columns) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, type, static_cast<uint64_t>(columns), static_cast<uint64_t>(rows),
                                   columns),
        "cublasLtMatrixLayoutCreate", product);
  return Layout(made);
}

Operation operation(const Product& product) {
  cublasLtMatmulDesc_t made = nullptr;
  check(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate", product);
  Operation owned(made);
  const cublasOperation_t first = product.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t second = product.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  for (const auto& [attribute, value] :
       {std::pair{CUBLASLT_MATMUL_DESC_TRANSA, first}, std::pair{CUBLASLT_MATMUL_DESC_TRANSB, second}}) {
    check(cublasLtMatmulDescSetAttribute(made, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute", product);
  }
  return owned;
}

// Sums of a split inner extent come together in float32 and in a fixed order.
Preference preference(const Product& product) {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate", product);
  Preference owned(made);
  const uint64_t bytes = kWorkspaceBytes;
  const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  check(cublasLtMatmulPreferenceSetAttribute(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                             sizeof bytes),
        "workspace preference", product);
  check(cublasLtMatmulPreferenceSetAttribute(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                                             sizeof schemes),
        "reduction preference", product);
  const uint32_t alignment = 16;
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &alignment, sizeof alignment),
          "alignment preference", product);
  }
  return owned;
}

Plan make_plan(cublasLtHandle_t library, const Product& p) {
  const auto type = [](bool bf16) { return bf16 ? CUDA_R_16BF : CUDA_R_32F; };
  Plan plan{.operation = operation(p),
            .first = p.b_transposed ? layout(p, CUDA_R_16BF, p.columns, p.inner)
                                    : layout(p, CUDA_R_16BF, p.inner, p.columns),
            .second = p.a_transposed ? layout(p, CUDA_R_16BF, p.inner, p.rows)
                                     : layout(p, CUDA_R_16BF, p.rows, p.inner),
            .result = layout(p, type(p.bf16_result), p.rows, p.columns),
            .algorithm = {}};
  cublasLtMatmulHeuristicResult_t found{};
  int count = 0;
  check(cublasLtMatmulAlgoGetHeuristic(library, plan.operation.get(), plan.first.get(), plan.second.get(),
                                       plan.result.get(), plan.result.get(), preference(p).get(), 1, &found,
                                       &count),
        "cublasLtMatmulAlgoGetHeuristic", p);
  if (count == 0) fail("cublasLtMatmulAlgoGetHeuristic: cuBLASLt has no way to compute {}", to_string(p));
  plan.algorithm = found.algo;
  return plan;
}

// Of one device. cuBLASLt's handles and descriptors may be used by several threads at once.
class Plans {
 public:
  Plans(const Product& first) {
    cublasLtHandle_t made = nullptr;
    check(cublasLtCreate(&made), "cublasLtCreate", first);
    library_.reset(made);
  }
  cublasLtHandle_t library() const { return library_.get(); }
  const Plan& plan(const Product& product) {
    const auto known = plans_.find(product);
    if (known != plans_.end()) return known->second;
    return plans_.emplace(product, make_plan(library_.get(), product)).first->second;
  }

 private:
  Library library_;
  std::map<Product, Plan> plans_;
};

// The lock is held while a plan is looked up: products are looked up while a graph is captured, not while
// it runs.
std::pair<cublasLtHandle_t, const Plan*> find_plan(const Product& product) {
  static std::mutex mutex;
  // Never destroyed: at the end of the process the driver may be gone before them.
  static auto& by_device = *new std::map<int, Plans>;
  int device = 0;
  if (const cudaError_t status = cudaGetDevice(&device); status != cudaSuccess) {
    fail("cudaGetDevice for {}: {}", to_string(product), cudaGetErrorString(status));
  }
  const std::lock_guard lock(mutex);
  Plans& plans = by_device.try_emplace(device, product).first->second;
  return {plans.library(), &plans.plan(product)};
}

}  // namespace

std::size_t blas_workspace_bytes() {
  return kWorkspaceBytes;
}

void multiply(const Stream& stream, const Product& product, const uint16_t* a, const uint16_t* b, void* c,
              void* workspace) {
  const auto [library, plan] = find_plan(product);
  const float one = 1, beta = product.accumulate ? 1 : 0;
  check(cublasLtMatmul(library, plan->operation.get(), &one, b, plan->first.get(), a, plan->second.get(),
                       &beta, c, plan->result.get(), c, plan->result.get(), &plan->algorithm, workspace,
                       kWorkspaceBytes, static_cast<cudaStream_t>(stream.native())),
        "cublasLtMatmul", product);
}

}  // namespace alder::cuda
