// libdsl for C++17, header-only: move-only owners of the handles of dsl.h, one exception type. Link with libdsl.so.
//
// Classes own one handle each and may be destroyed in any order. All that dsl.h says of threads holds here too. Failures throw
// dsl::Error with the status in code(); a moved-from object may only be destroyed or assigned to.
#ifndef DSL_HPP
#define DSL_HPP

#include <dsl.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace dsl {

// What failed: code() is a DSL_STATUS_..., what() the message.
class Error : public std::runtime_error {
public:
    Error(std::int32_t code, const std::string &message) : std::runtime_error(message), code_(code) {}
    std::int32_t code() const noexcept { return code_; }

private:
    std::int32_t code_;
};

namespace detail {

inline void check(std::int32_t status) {
    if (status != DSL_STATUS_OK) {
        throw Error(status, dsl_last_error_message());
    }
}

template <class T, void (*Free)(T *)> struct Deleter {
    void operator()(T *handle) const noexcept { Free(handle); }
};
template <class T, void (*Free)(T *)> using Handle = std::unique_ptr<T, Deleter<T, Free>>;

// Calls a function that asks first for the length, then for the text.
template <class F> std::string text(F &&call) {
    std::size_t needed = 0;
    const std::int32_t status = call(static_cast<char *>(nullptr), std::size_t{0}, &needed);
    if (status != DSL_STATUS_BUFFER_TOO_SMALL) {
        check(status);
    }
    std::string out(needed, '\0');
    check(call(&out[0], out.size(), &needed));
    out.resize(needed - 1); // the NUL
    return out;
}

} // namespace detail

// A view of contiguous values that someone else owns (std::span is C++20).
template <class T> class Span {
public:
    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class C, class = decltype(std::declval<C &>().data())> constexpr Span(C &container) noexcept
        : data_(container.data()), size_(container.size()) {}
    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

inline std::string version() { return dsl_version_string(); }

// The NVIDIA GPUs that can be used; device_info(0) throws the reason when there is none.
inline std::int32_t device_count() {
    std::int32_t n = 0;
    detail::check(dsl_device_count(&n));
    return n;
}
// A GPU as JSON: name, memory, versions of driver and libraries.
inline std::string device_info(std::int32_t device) {
    return detail::text([device](char *out, std::size_t n, std::size_t *needed) { return dsl_device_info(device, out, n, needed); });
}
// A folder in which cuDNN and cuBLAS are looked for.
inline void cuda_add_library_dir(const std::string &folder) { detail::check(dsl_cuda_add_library_dir(folder.c_str())); }

inline void set_num_threads(std::int32_t n) { detail::check(dsl_set_num_threads(n)); }

// Throws unless the loaded library speaks this header's ABI. Model's and Dataset's constructors call it.
inline void check_abi() {
    if (dsl_abi_version() != DSL_ABI_VERSION) {
        throw Error(DSL_STATUS_ABI_MISMATCH, "dsl.hpp: the library has ABI " + std::to_string(dsl_abi_version()) +
                                                 ", want " + std::to_string(DSL_ABI_VERSION));
    }
}

// Stops long calls from another thread or a signal handler.
class CancelToken {
public:
    CancelToken() {
        dsl_cancel_token *h = nullptr;
        detail::check(dsl_cancel_token_create(&h));
        handle_.reset(h);
    }
    void cancel() noexcept { dsl_cancel_token_cancel(handle_.get()); }
    const dsl_cancel_token *get() const noexcept { return handle_.get(); }

private:
    detail::Handle<dsl_cancel_token, dsl_cancel_token_free> handle_;
};

inline const dsl_cancel_token *handle_of(const CancelToken *token) noexcept { return token ? token->get() : nullptr; }

struct Size {
    std::int32_t height = 0, width = 0;
    std::size_t pixels() const noexcept { return static_cast<std::size_t>(height) * static_cast<std::size_t>(width); }
};

// The shape of pixels in memory. stride counts elements from row to row, 0 for rows without gaps.
struct Layout {
    std::int32_t height = 0, width = 0, channels = 1;
    std::int64_t stride = 0;
};

// The values that become black and white; equal ones stand for the full range of the type.
struct Window {
    float low = 0, high = 0;
};

// A picture; never changes.
class Image {
public:
    static Image load(const std::string &path) {
        dsl_image *h = nullptr;
        detail::check(dsl_image_load_file(path.c_str(), &h));
        return Image(h);
    }

    // Copies uint8, uint16 or float pixels.
    template <class T> static Image from_array(Span<const T> pixels, const Layout &layout, const Window &window = {}) {
        static_assert(std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::uint16_t> || std::is_same_v<T, float>,
                      "pixels are std::uint8_t, std::uint16_t or float");
        dsl_array a;
        DSL_INIT(&a);
        a.dtype = std::is_same_v<T, float>           ? DSL_DTYPE_F32
                  : std::is_same_v<T, std::uint16_t> ? DSL_DTYPE_U16
                                                     : DSL_DTYPE_U8;
        a.data = pixels.data();
        a.data_size_bytes = pixels.size() * sizeof(T);
        a.row_stride_bytes = layout.stride * static_cast<std::int64_t>(sizeof(T));
        a.height = layout.height;
        a.width = layout.width;
        a.channels = layout.channels;
        a.window_low = window.low;
        a.window_high = window.high;
        dsl_image *h = nullptr;
        detail::check(dsl_image_from_array(&a, &h));
        return Image(h);
    }

    // The original's size: a file's own pixel grid, before EXIF orientation.
    Size size() const {
        Size s;
        detail::check(dsl_image_size(handle_.get(), &s.height, &s.width));
        return s;
    }
    // The original's pixels, R G B, [height, width, 3].
    std::vector<std::uint8_t> pixels() const {
        std::vector<std::uint8_t> out(size().pixels() * 3);
        detail::check(dsl_image_pixels(handle_.get(), out.data(), out.size()));
        return out;
    }
    const dsl_image *get() const noexcept { return handle_.get(); }

private:
    explicit Image(dsl_image *h) : handle_(h) {}
    detail::Handle<dsl_image, dsl_image_free> handle_;
};

// Rows of unit length.
class Embeddings {
public:
    Embeddings(std::size_t rows, std::size_t dim) : rows_(rows), dim_(dim), data_(rows * dim) {}
    std::size_t rows() const noexcept { return rows_; }
    std::size_t dim() const noexcept { return dim_; }
    Span<const float> row(std::size_t i) const noexcept { return {data_.data() + i * dim_, dim_}; }
    Span<const float> values() const noexcept { return {data_.data(), data_.size()}; }
    Span<float> values() noexcept { return {data_.data(), data_.size()}; }

private:
    std::size_t rows_, dim_;
    std::vector<float> data_;
};

// A map over a picture or over the network's grid, row by row.
struct Map {
    Size size;
    std::vector<float> values;
};

struct Heatmap {
    Map grid;     // the network's own
    Map original; // over the original's pixels
};

// Where a classification network sees a class.
struct ClassMap {
    std::int64_t label = 0;
    Heatmap map;
};

// Σ map + bias = similarity, for each image and for grid and original alike.
struct PairExplanation {
    double similarity = 0;
    double bias_a = 0, bias_b = 0;
    Heatmap a, b;
};

class Dataset;

// A trained model; never changes, may be shared between threads.
class Model {
public:
    static Model load(const std::string &path) {
        check_abi();
        dsl_model *h = nullptr;
        detail::check(dsl_model_load(path.c_str(), &h));
        return Model(h);
    }
    void save(const std::string &path) const { detail::check(dsl_model_save(handle_.get(), path.c_str())); }
    std::int32_t embedding_dim() const { return number(dsl_model_embedding_dim); }
    std::int32_t num_learners() const { return number(dsl_model_num_learners); }
    std::int32_t num_classes() const { return number(dsl_model_num_classes); }
    std::int32_t input_size() const { return number(dsl_model_input_size); }
    // JSON.
    std::string info() const {
        return detail::text([this](char *out, std::size_t n, std::size_t *needed) {
            return dsl_model_info(handle_.get(), out, n, needed);
        });
    }
    // A copy that can also compute with the precision "int8", calibrated on so many images of a split.
    Model calibrate(const Dataset &dataset, std::int32_t num_images = 256, const std::string &split = "train",
                    const CancelToken *cancel = nullptr) const;
    const dsl_model *get() const noexcept { return handle_.get(); }

private:
    explicit Model(dsl_model *h) : handle_(h) {}
    std::int32_t number(std::int32_t (*getter)(const dsl_model *, std::int32_t *)) const {
        std::int32_t n = 0;
        detail::check(getter(handle_.get(), &n));
        return n;
    }
    detail::Handle<dsl_model, dsl_model_free> handle_;
};

// Labelled images.
class Dataset {
public:
    // A manifest (CSV), a folder of a published data set, or a folder with a subfolder per class.
    static Dataset open(const std::string &path) {
        check_abi();
        dsl_dataset *h = nullptr;
        detail::check(dsl_dataset_open(path.c_str(), &h));
        return Dataset(h);
    }
    // The lists that the method's authors publish; their paths are relative to folder.
    static Dataset open_lists(const std::string &train_list, const std::string &test_list, const std::string &folder) {
        check_abi();
        dsl_dataset *h = nullptr;
        detail::check(dsl_dataset_open_lists(train_list.c_str(), test_list.c_str(), folder.c_str(), &h));
        return Dataset(h);
    }
    // Empty, for add.
    Dataset() {
        check_abi();
        dsl_dataset *h = nullptr;
        detail::check(dsl_dataset_create(&h));
        handle_.reset(h);
    }
    void add(const Image &image, std::int64_t label, const std::string &split = "", const std::string &group = "") {
        detail::check(dsl_dataset_add(handle_.get(), image.get(), label, split.c_str(), group.c_str()));
    }
    // Where the finding of the index-th image that was added lies: mask is nonzero there, in any size.
    void set_mask(std::int64_t index, const Image &mask) {
        detail::check(dsl_dataset_set_mask(handle_.get(), index, mask.get()));
    }
    void set_class_name(std::int64_t label, const std::string &name) {
        detail::check(dsl_dataset_set_class_name(handle_.get(), label, name.c_str()));
    }
    std::int64_t size(const std::string &split = "") const {
        std::int64_t n = 0;
        detail::check(dsl_dataset_size(handle_.get(), split.c_str(), &n));
        return n;
    }
    // The dataset as the text of a manifest.
    std::string manifest() const {
        return detail::text([this](char *out, std::size_t n, std::size_t *needed) {
            return dsl_dataset_manifest(handle_.get(), out, n, needed);
        });
    }
    const dsl_dataset *get() const noexcept { return handle_.get(); }

private:
    explicit Dataset(dsl_dataset *h) : handle_(h) {}
    detail::Handle<dsl_dataset, dsl_dataset_free> handle_;
};

inline Model Model::calibrate(const Dataset &dataset, std::int32_t num_images, const std::string &split, const CancelToken *cancel) const {
    dsl_calibrate_options o;
    DSL_INIT(&o);
    o.num_images = num_images;
    o.split = split.c_str();
    dsl_model *h = nullptr;
    detail::check(dsl_model_calibrate(handle_.get(), dataset.get(), &o, handle_of(cancel), &h));
    return Model(h);
}

// Takes a report's JSON and frees it.
inline std::string take_json(dsl_report *report) {
    const detail::Handle<dsl_report, dsl_report_free> owner(report);
    return detail::text(
        [report](char *out, std::size_t n, std::size_t *needed) { return dsl_report_json(report, out, n, needed); });
}

struct SessionOptions {
    std::string device = "auto";
    std::string precision = "auto"; // "f32", "tf32", "bf16"; "int8" for a model from calibrate
    std::int32_t threads = 0;
    bool batch_invariant = false;
};

// Runs a model on a device.
class Session {
public:
    explicit Session(const Model &model, const SessionOptions &options = {})
        : dim_(static_cast<std::size_t>(model.embedding_dim())),
          classes_(static_cast<std::size_t>(model.num_classes())) {
        dsl_session_options o;
        DSL_INIT(&o);
        o.device = options.device.c_str();
        o.precision = options.precision.c_str();
        o.threads = options.threads;
        o.batch_invariant = options.batch_invariant ? 1 : 0;
        dsl_session *h = nullptr;
        detail::check(dsl_session_create(model.get(), &o, &h));
        handle_.reset(h);
    }

    Embeddings embed(const std::vector<const Image *> &images, const CancelToken *cancel = nullptr) {
        const std::vector<const dsl_image *> handles = handles_of(images);
        Embeddings out(images.size(), dim_);
        detail::check(dsl_session_embed(handle_.get(), handles.data(), handles.size(), handle_of(cancel),
                                        out.values().data(), out.values().size()));
        return out;
    }

    Embeddings embed_files(const std::vector<std::string> &paths, const CancelToken *cancel = nullptr) {
        std::vector<const char *> names;
        names.reserve(paths.size());
        for (const std::string &path : paths) {
            names.push_back(path.c_str());
        }
        Embeddings out(paths.size(), dim_);
        detail::check(dsl_session_embed_files(handle_.get(), names.data(), names.size(), handle_of(cancel),
                                              out.values().data(), out.values().size()));
        return out;
    }

    // Attention in [0, 1].
    Heatmap heatmap(const Image &image, const CancelToken *cancel = nullptr) {
        Heatmap h = room(image);
        detail::check(dsl_session_heatmap(handle_.get(), image.get(), handle_of(cancel), h.grid.values.data(),
                                          h.grid.values.size(), h.original.values.data(), h.original.values.size()));
        return h;
    }

    // Class probabilities of a classification network: images.size() rows of model.num_classes() values.
    std::vector<float> classify(const std::vector<const Image *> &images, const CancelToken *cancel = nullptr) {
        const std::vector<const dsl_image *> handles = handles_of(images);
        std::vector<float> out(images.size() * classes_);
        detail::check(dsl_session_classify(handle_.get(), handles.data(), handles.size(), handle_of(cancel), out.data(),
                                           out.size()));
        return out;
    }

    // Grad-CAM of a class, or of the predicted one, in [0, 1].
    ClassMap class_map(const Image &image, std::int64_t label = DSL_LABEL_PREDICTED, const CancelToken *cancel = nullptr) {
        ClassMap out{0, room(image)};
        Heatmap &h = out.map;
        detail::check(dsl_session_class_map(handle_.get(), image.get(), label, handle_of(cancel), h.grid.values.data(),
                                            h.grid.values.size(), h.original.values.data(), h.original.values.size(),
                                            &out.label));
        return out;
    }

    // Where an image has what its own embedding is made of, in [0, 1].
    Heatmap self_map(const Image &image, const CancelToken *cancel = nullptr) {
        Heatmap h = room(image);
        detail::check(dsl_session_self_map(handle_.get(), image.get(), handle_of(cancel), h.grid.values.data(),
                                           h.grid.values.size(), h.original.values.data(), h.original.values.size()));
        return h;
    }

    // Where an image has strong features, in [0, 1].
    Heatmap activation_map(const Image &image, const CancelToken *cancel = nullptr) {
        Heatmap h = room(image);
        detail::check(dsl_session_activation_map(handle_.get(), image.get(), handle_of(cancel), h.grid.values.data(),
                                                 h.grid.values.size(), h.original.values.data(), h.original.values.size()));
        return h;
    }

    // Maps against masks, as JSON. source: "attention", "grad_cam", "self", "activation", or "" for the model's own.
    std::string evaluate_masks(const Dataset &dataset, const std::string &source = "", const std::string &split = "test",
                               const CancelToken *cancel = nullptr) {
        dsl_report *report = nullptr;
        detail::check(dsl_session_evaluate_masks(handle_.get(), dataset.get(), source.c_str(), split.c_str(),
                                                 handle_of(cancel), &report));
        return take_json(report);
    }

    // Why a and b are similar; learner: 0 to K-1, or DSL_LEARNER_ALL.
    PairExplanation explain_pair(const Image &a, const Image &b, std::int32_t learner = DSL_LEARNER_ALL,
                                 const CancelToken *cancel = nullptr) {
        PairExplanation out;
        out.a = room(a);
        out.b = room(b);
        dsl_explanation e;
        DSL_INIT(&e);
        e.learner = learner;
        e.grid_a = out.a.grid.values.data();
        e.grid_b = out.b.grid.values.data();
        e.map_a = out.a.original.values.data();
        e.map_b = out.b.original.values.data();
        e.grid_a_capacity = out.a.grid.values.size();
        e.grid_b_capacity = out.b.grid.values.size();
        e.map_a_capacity = out.a.original.values.size();
        e.map_b_capacity = out.b.original.values.size();
        detail::check(dsl_session_explain_pair(handle_.get(), a.get(), b.get(), handle_of(cancel), &e));
        out.similarity = e.similarity;
        out.bias_a = e.bias_a;
        out.bias_b = e.bias_b;
        return out;
    }

    // Scores on a split ("" for all images), as JSON.
    std::string evaluate(const Dataset &dataset, const std::string &split = "test",
                         const CancelToken *cancel = nullptr) {
        dsl_report *report = nullptr;
        detail::check(dsl_session_evaluate(handle_.get(), dataset.get(), split.c_str(), handle_of(cancel), &report));
        return take_json(report);
    }

    dsl_session *get() const noexcept { return handle_.get(); }

private:
    static std::vector<const dsl_image *> handles_of(const std::vector<const Image *> &images) {
        std::vector<const dsl_image *> handles;
        handles.reserve(images.size());
        for (const Image *image : images) {
            handles.push_back(image ? image->get() : nullptr);
        }
        return handles;
    }

    Heatmap room(const Image &image) {
        Heatmap h;
        detail::check(dsl_session_grid_size(handle_.get(), image.get(), &h.grid.size.height, &h.grid.size.width));
        h.original.size = image.size();
        h.grid.values.resize(h.grid.size.pixels());
        h.original.values.resize(h.original.size.pixels());
        return h;
    }

    std::size_t dim_, classes_;
    detail::Handle<dsl_session, dsl_session_free> handle_;
};

// Neighbours of queries, row by row: k each, the most similar first; row -1 and similarity -infinity where fewer are left.
struct Neighbours {
    std::size_t k = 0;
    std::vector<std::int64_t> rows;
    std::vector<float> similarities;
};

// What an index knows of a row: label -1 and group "" for none.
struct Item {
    std::string id;
    std::int64_t label = -1;
    std::string group;
};

// What is known of rows that are added: empty, or an element for each row. Ids are texts or numbers.
struct Items {
    std::vector<std::string> ids;
    std::vector<std::int64_t> int_ids;
    std::vector<std::int64_t> labels;
    std::vector<std::string> groups;
};

// learner: 0 to K-1, or DSL_LEARNER_ALL. Ids and groups are the queries' own: rows with them are left out.
struct SearchOptions {
    std::int32_t learner = DSL_LEARNER_ALL;
    std::int32_t threads = 0;
    std::vector<std::string> exclude_ids;
    std::vector<std::int64_t> exclude_int_ids;
    std::vector<std::string> exclude_groups;
    std::string device = "auto";
};

namespace detail {

inline std::vector<const char *> pointers(const std::vector<std::string> &texts) {
    std::vector<const char *> out;
    out.reserve(texts.size());
    for (const std::string &text : texts) {
        out.push_back(text.c_str());
    }
    return out;
}

// nullptr for none; else there must be one for each row.
template <class T> const T *per_row(const std::vector<T> &values, std::size_t rows, const char *name) {
    if (!values.empty() && values.size() != rows) {
        throw Error(DSL_STATUS_INVALID, std::string("dsl.hpp: ") + name + ": got " + std::to_string(values.size()) + " for " +
                                            std::to_string(rows) + " rows");
    }
    return values.empty() ? nullptr : values.data();
}

} // namespace detail

// A gallery of embeddings: exact nearest neighbours by cosine.
class Index {
public:
    // Empty, for the embeddings of a model.
    explicit Index(const Model &model) : Index(model.get(), 0) {}
    // Empty, for rows of so many numbers from anywhere.
    explicit Index(std::int32_t embedding_dim) : Index(nullptr, embedding_dim) {}
    // A file; with a model it must hold embeddings of that one.
    static Index load(const std::string &path, const Model *model = nullptr) {
        check_abi();
        dsl_index *h = nullptr;
        detail::check(dsl_index_load(path.c_str(), model ? model->get() : nullptr, &h));
        return Index(h);
    }
    void save(const std::string &path) const { detail::check(dsl_index_save(handle_.get(), path.c_str())); }

    void add(const Embeddings &rows, const Items &items = {}) {
        dim_is(rows);
        const std::vector<const char *> ids = detail::pointers(items.ids), groups = detail::pointers(items.groups);
        const std::size_t n = rows.rows();
        detail::check(dsl_index_add(handle_.get(), rows.values().data(), n, detail::per_row(ids, n, "ids"),
                                    detail::per_row(items.int_ids, n, "int_ids"), detail::per_row(items.labels, n, "labels"),
                                    detail::per_row(groups, n, "groups")));
    }

    Neighbours search(const Embeddings &queries, std::int32_t k, const SearchOptions &options = {},
                      const CancelToken *cancel = nullptr) const {
        dim_is(queries);
        const std::size_t n = queries.rows();
        const std::vector<const char *> ids = detail::pointers(options.exclude_ids), groups = detail::pointers(options.exclude_groups);
        dsl_search_options o;
        DSL_INIT(&o);
        o.threads = options.threads;
        o.device = options.device.c_str();
        o.learner = options.learner == DSL_LEARNER_ALL ? nullptr : &options.learner;
        o.exclude_ids = detail::per_row(ids, n, "exclude_ids");
        o.exclude_int_ids = detail::per_row(options.exclude_int_ids, n, "exclude_int_ids");
        o.exclude_groups = detail::per_row(groups, n, "exclude_groups");
        Neighbours out;
        out.k = k > 0 ? static_cast<std::size_t>(k) : 0;
        out.rows.resize(n * out.k);
        out.similarities.resize(n * out.k);
        detail::check(dsl_index_search(handle_.get(), queries.values().data(), n, k, &o, handle_of(cancel), out.rows.data(),
                                       out.similarities.data(), out.rows.size()));
        return out;
    }

    // Throws unless the index holds embeddings of this very model.
    void check_model(const Model &model) const { detail::check(dsl_index_check_model(handle_.get(), model.get())); }
    std::int64_t size() const {
        std::int64_t n = 0;
        detail::check(dsl_index_size(handle_.get(), &n));
        return n;
    }
    Item item(std::int64_t row) const {
        Item out;
        char id[DSL_INDEX_TEXT_SIZE], group[DSL_INDEX_TEXT_SIZE];
        detail::check(dsl_index_item(handle_.get(), row, id, sizeof id, group, sizeof group, &out.label));
        out.id = id;
        out.group = group;
        return out;
    }
    // JSON.
    std::string info() const {
        return detail::text([this](char *out, std::size_t n, std::size_t *needed) {
            return dsl_index_info(handle_.get(), out, n, needed);
        });
    }
    const dsl_index *get() const noexcept { return handle_.get(); }

private:
    explicit Index(dsl_index *h) : handle_(h) { dim_ = dim_of(info()); }
    Index(const dsl_model *model, std::int32_t embedding_dim) {
        check_abi();
        dsl_index *h = nullptr;
        detail::check(dsl_index_create(model, embedding_dim, &h));
        handle_.reset(h);
        dim_ = dim_of(info());
    }
    static std::size_t dim_of(const std::string &json) {
        const std::string key = "\"embedding_dim\": ";
        return std::stoul(json.substr(json.find(key) + key.size()));
    }
    void dim_is(const Embeddings &rows) const {
        if (rows.dim() != dim_) {
            throw Error(DSL_STATUS_INVALID, "dsl.hpp: index: got rows of " + std::to_string(rows.dim()) + " numbers, want " +
                                                std::to_string(dim_));
        }
    }
    std::size_t dim_ = 0;
    detail::Handle<dsl_index, dsl_index_free> handle_;
};

struct ClusterOptions {
    std::int32_t restarts = 0, max_iterations = 0; // 0: 5 and 100
    std::uint64_t seed = 0;
    std::int32_t threads = 0;
    std::string device = "auto";
};

struct Clusters {
    std::vector<std::int32_t> assignment; // of each row, 0 to k-1
    Embeddings centres;                   // k rows, the means
    double inertia = 0;                   // sum of squared distances to the centres
};

// Groups rows by K-means.
inline Clusters cluster(const Embeddings &rows, std::int32_t k, const ClusterOptions &options = {},
                        const CancelToken *cancel = nullptr) {
    check_abi();
    if (k < 1 || static_cast<std::size_t>(k) > rows.rows()) { // before memory is taken for the centres
        throw Error(DSL_STATUS_INVALID, "dsl.hpp: cluster: got " + std::to_string(k) + " clusters for " + std::to_string(rows.rows()) + " rows");
    }
    dsl_cluster_options o;
    DSL_INIT(&o);
    o.restarts = options.restarts;
    o.max_iterations = options.max_iterations;
    o.seed = options.seed;
    o.threads = options.threads;
    o.device = options.device.c_str();
    Clusters out{std::vector<std::int32_t>(rows.rows()), Embeddings(static_cast<std::size_t>(k), rows.dim())};
    detail::check(dsl_cluster(rows.values().data(), rows.rows(), static_cast<std::int32_t>(rows.dim()), k, &o, handle_of(cancel),
                              out.assignment.data(), out.assignment.size(), out.centres.values().data(), out.centres.values().size(),
                              &out.inertia));
    return out;
}

// Trains; options are those of dsl.h (set up with DSL_INIT), but for progress. on_progress runs on this thread and returns false to
// cancel; what it throws ends the training and is thrown on. Returns the report's JSON.
inline std::string train(const Dataset &dataset, dsl_train_options options,
                         const std::function<bool(const dsl_progress &)> &on_progress = nullptr,
                         const CancelToken *cancel = nullptr) {
    struct Call {
        const std::function<bool(const dsl_progress &)> &function;
        std::exception_ptr thrown;
    } call{on_progress, nullptr};
    if (on_progress) {
        options.progress_user = &call;
        options.progress = [](const dsl_progress *progress, void *user) -> std::int32_t {
            Call &c = *static_cast<Call *>(user);
            try {
                return c.function(*progress) ? 0 : 1;
            } catch (...) {
                c.thrown = std::current_exception(); // must not unwind through the library
                return 1;
            }
        };
    }
    dsl_report *report = nullptr;
    const std::int32_t status = dsl_train(dataset.get(), &options, handle_of(cancel), &report);
    if (call.thrown) {
        dsl_report_free(report);
        std::rethrow_exception(call.thrown);
    }
    detail::check(status);
    return take_json(report);
}

} // namespace dsl

#endif // DSL_HPP
