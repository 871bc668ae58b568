/* The functions of dsl.h: refuse after fork(), check structs, and call Go. */
#include "shim.h"
#include "_cgo_export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define H(handle) ((uintptr_t)(handle))

/* Calls a Go function whose last parameter is the message. */
#define CALL(function, ...)                                                                                            \
    do {                                                                                                               \
        char *message = NULL;                                                                                          \
        if (shim_is_forked()) {                                                                                        \
            return DSL_STATUS_FORKED;                                                                                  \
        }                                                                                                              \
        int32_t status = function(__VA_ARGS__, &message);                                                              \
        return shim_finish(status, message);                                                                           \
    } while (0)

/* The same for functions that make a handle. */
#define CREATE(function, out, ...)                                                                                     \
    do {                                                                                                               \
        char *message = NULL;                                                                                          \
        uintptr_t made = 0;                                                                                            \
        if ((out) == NULL) {                                                                                           \
            return invalid(#out ": got NULL, want a place for the handle");                                            \
        }                                                                                                              \
        *(out) = NULL;                                                                                                 \
        if (shim_is_forked()) {                                                                                        \
            return DSL_STATUS_FORKED;                                                                                  \
        }                                                                                                              \
        int32_t status = function(__VA_ARGS__, &made, &message);                                                       \
        *(out) = (void *)made;                                                                                         \
        return shim_finish(status, message);                                                                           \
    } while (0)

#define FREE(function, handle)                                                                                         \
    do {                                                                                                               \
        if ((handle) != NULL && !shim_is_forked()) {                                                                   \
            function(H(handle));                                                                                       \
        }                                                                                                              \
    } while (0)

static int32_t failure(int32_t status, const char *what, const char *text) {
    char *message = malloc(512);
    if (message != NULL) {
        snprintf(message, 512, "capi: %s%s", what, text);
    }
    return shim_finish(status, message);
}

static int32_t invalid(const char *text) { return failure(DSL_STATUS_INVALID, "", text); }

/* Copies a caller's struct of the size it says it has: what it lacks is 0, what the library does not know must be 0. */
static int32_t copy_struct(void *dst, size_t known, const void *src, const char *name) {
    uint32_t size;
    memcpy(&size, src, sizeof size);
    if (size < known) { /* the first version's size is the smallest there is */
        return failure(DSL_STATUS_INVALID, name, ": struct_size is too small; set the struct up with DSL_INIT");
    }
    for (size_t i = known; i < size; i++) {
        if (((const unsigned char *)src)[i] != 0) {
            return failure(DSL_STATUS_ABI_MISMATCH, name, ": a member is set that this older library does not know");
        }
    }
    memcpy(dst, src, known);
    return DSL_STATUS_OK;
}

#define COPY(local, pointer, name)                                                                                     \
    do {                                                                                                               \
        if (shim_is_forked()) {                                                                                        \
            return DSL_STATUS_FORKED;                                                                                  \
        }                                                                                                              \
        if ((pointer) == NULL) {                                                                                       \
            return invalid(name ": got NULL, want a struct set up with DSL_INIT");                                     \
        }                                                                                                              \
        int32_t copied = copy_struct(&(local), sizeof(local), (pointer), name);                                        \
        if (copied != DSL_STATUS_OK) {                                                                                 \
            return copied;                                                                                             \
        }                                                                                                              \
    } while (0)

void dsl_struct_init(void *out_struct, size_t size_bytes) {
    if (out_struct == NULL || size_bytes < sizeof(uint32_t)) {
        return;
    }
    uint32_t size = (uint32_t)size_bytes;
    memset(out_struct, 0, size_bytes);
    memcpy(out_struct, &size, sizeof size);
}

int32_t dsl_set_num_threads(int32_t num_threads) { CALL(goSetNumThreads, num_threads); }

int32_t dsl_device_count(int32_t *out_num_devices) { CALL(goDeviceCount, out_num_devices); }

int32_t dsl_device_info(int32_t device, char *out_text, size_t capacity, size_t *out_needed) {
    CALL(goDeviceInfo, device, out_text, capacity, out_needed);
}

int32_t dsl_cuda_add_library_dir(const char *folder) { CALL(goAddLibraryDir, (char *)folder); }

int64_t dsl_live_handles(void) { return shim_is_forked() ? 0 : goLiveHandles() + shim_token_count(); }

int32_t shim_call_progress(dsl_progress_fn fn, const dsl_progress *progress, void *user) { return fn(progress, user); }

/* ---- images and datasets ---- */

int32_t dsl_image_load_file(const char *path, dsl_image **out_image) { CREATE(goImageLoad, out_image, (char *)path); }

int32_t dsl_image_from_array(const dsl_array *array, dsl_image **out_image) {
    dsl_array copy;
    COPY(copy, array, "dsl_array");
    CREATE(goImageFromArray, out_image, &copy);
}

int32_t dsl_image_size(const dsl_image *image, int32_t *out_height, int32_t *out_width) {
    CALL(goImageSize, H(image), out_height, out_width);
}

int32_t dsl_image_pixels(const dsl_image *image, uint8_t *out_pixels, size_t capacity) {
    CALL(goImagePixels, H(image), out_pixels, capacity);
}

void dsl_image_free(dsl_image *image) { FREE(goImageFree, image); }

int32_t dsl_dataset_open(const char *path, dsl_dataset **out_dataset) {
    CREATE(goDatasetOpen, out_dataset, (char *)path);
}

int32_t dsl_dataset_open_lists(const char *train_list, const char *test_list, const char *folder, dsl_dataset **out_dataset) {
    CREATE(goDatasetOpenLists, out_dataset, (char *)train_list, (char *)test_list, (char *)folder);
}

int32_t dsl_dataset_manifest(const dsl_dataset *dataset, char *out_text, size_t capacity, size_t *out_needed) {
    CALL(goDatasetManifest, H(dataset), out_text, capacity, out_needed);
}

int32_t dsl_dataset_create(dsl_dataset **out_dataset) { CREATE(goDatasetCreate, out_dataset, 0); }

int32_t dsl_dataset_add(dsl_dataset *dataset, const dsl_image *image, int64_t label, const char *split,
                        const char *group) {
    CALL(goDatasetAdd, H(dataset), H(image), label, (char *)split, (char *)group);
}

int32_t dsl_dataset_set_mask(dsl_dataset *dataset, int64_t index, const dsl_image *mask) {
    CALL(goDatasetSetMask, H(dataset), index, H(mask));
}

int32_t dsl_dataset_set_class_name(dsl_dataset *dataset, int64_t label, const char *name) {
    CALL(goDatasetSetClassName, H(dataset), label, (char *)name);
}

int32_t dsl_dataset_size(const dsl_dataset *dataset, const char *split, int64_t *out_num_images) {
    CALL(goDatasetSize, H(dataset), (char *)split, out_num_images);
}

void dsl_dataset_free(dsl_dataset *dataset) { FREE(goDatasetFree, dataset); }

/* ---- models and reports ---- */

int32_t dsl_model_load(const char *path, dsl_model **out_model) { CREATE(goModelLoad, out_model, (char *)path); }

int32_t dsl_model_save(const dsl_model *model, const char *path) { CALL(goModelSave, H(model), (char *)path); }

int32_t dsl_model_embedding_dim(const dsl_model *model, int32_t *out_embedding_dim) {
    CALL(goModelEmbeddingDim, H(model), out_embedding_dim);
}

int32_t dsl_model_num_learners(const dsl_model *model, int32_t *out_num_learners) {
    CALL(goModelNumLearners, H(model), out_num_learners);
}

int32_t dsl_model_input_size(const dsl_model *model, int32_t *out_input_size) {
    CALL(goModelInputSize, H(model), out_input_size);
}

int32_t dsl_model_num_classes(const dsl_model *model, int32_t *out_num_classes) {
    CALL(goModelNumClasses, H(model), out_num_classes);
}

int32_t dsl_model_calibrate(const dsl_model *model, const dsl_dataset *dataset, const dsl_calibrate_options *options,
                            const dsl_cancel_token *cancel, dsl_model **out_model) {
    dsl_calibrate_options copy;
    memset(&copy, 0, sizeof copy);
    if (options != NULL) {
        COPY(copy, options, "dsl_calibrate_options");
    }
    CREATE(goModelCalibrate, out_model, H(model), H(dataset), &copy, H(cancel));
}

int32_t dsl_model_info(const dsl_model *model, char *out_text, size_t capacity, size_t *out_needed) {
    CALL(goModelInfo, H(model), out_text, capacity, out_needed);
}

void dsl_model_free(dsl_model *model) { FREE(goModelFree, model); }

int32_t dsl_report_json(const dsl_report *report, char *out_text, size_t capacity, size_t *out_needed) {
    CALL(goReportJSON, H(report), out_text, capacity, out_needed);
}

void dsl_report_free(dsl_report *report) { FREE(goReportFree, report); }

/* ---- sessions ---- */

int32_t dsl_session_create(const dsl_model *model, const dsl_session_options *options, dsl_session **out_session) {
    dsl_session_options copy;
    memset(&copy, 0, sizeof copy);
    if (options != NULL) {
        COPY(copy, options, "dsl_session_options");
    }
    CREATE(goSessionCreate, out_session, H(model), &copy);
}

int32_t dsl_session_embed(dsl_session *session, const dsl_image *const *images, size_t num_images,
                          const dsl_cancel_token *cancel, float *out_embeddings, size_t capacity) {
    CALL(goSessionEmbed, H(session), (uintptr_t *)images, num_images, H(cancel), out_embeddings, capacity);
}

int32_t dsl_session_embed_files(dsl_session *session, const char *const *paths, size_t num_paths,
                                const dsl_cancel_token *cancel, float *out_embeddings, size_t capacity) {
    CALL(goSessionEmbedFiles, H(session), (char **)paths, num_paths, H(cancel), out_embeddings, capacity);
}

int32_t dsl_session_grid_size(dsl_session *session, const dsl_image *image, int32_t *out_height, int32_t *out_width) {
    CALL(goSessionGridSize, H(session), H(image), out_height, out_width);
}

int32_t dsl_session_heatmap(dsl_session *session, const dsl_image *image, const dsl_cancel_token *cancel,
                            float *out_grid, size_t grid_capacity, float *out_heatmap, size_t heatmap_capacity) {
    CALL(goSessionHeatmap, H(session), H(image), H(cancel), out_grid, grid_capacity, out_heatmap, heatmap_capacity);
}

int32_t dsl_session_explain_pair(dsl_session *session, const dsl_image *a, const dsl_image *b,
                                 const dsl_cancel_token *cancel, dsl_explanation *explanation) {
    dsl_explanation copy;
    COPY(copy, explanation, "dsl_explanation");
    char *message = NULL;
    int32_t status = goSessionExplainPair(H(session), H(a), H(b), H(cancel), &copy, &message);
    if (status == DSL_STATUS_OK) {
        explanation->similarity = copy.similarity;
        explanation->bias_a = copy.bias_a;
        explanation->bias_b = copy.bias_b;
    }
    return shim_finish(status, message);
}

int32_t dsl_session_evaluate(dsl_session *session, const dsl_dataset *dataset, const char *split,
                             const dsl_cancel_token *cancel, dsl_report **out_report) {
    CREATE(goSessionEvaluate, out_report, H(session), H(dataset), (char *)split, H(cancel));
}

int32_t dsl_session_classify(dsl_session *session, const dsl_image *const *images, size_t num_images,
                             const dsl_cancel_token *cancel, float *out_probabilities, size_t capacity) {
    CALL(goSessionClassify, H(session), (uintptr_t *)images, num_images, H(cancel), out_probabilities, capacity);
}

int32_t dsl_session_class_map(dsl_session *session, const dsl_image *image, int64_t label,
                              const dsl_cancel_token *cancel, float *out_grid, size_t grid_capacity, float *out_map,
                              size_t map_capacity, int64_t *out_label) {
    int64_t found = 0;
    char *message = NULL;
    if (shim_is_forked()) {
        return DSL_STATUS_FORKED;
    }
    int32_t status = goSessionClassMap(H(session), H(image), label, H(cancel), out_grid, grid_capacity, out_map,
                                       map_capacity, &found, &message);
    if (status == DSL_STATUS_OK && out_label != NULL) {
        *out_label = found;
    }
    return shim_finish(status, message);
}

int32_t dsl_session_self_map(dsl_session *session, const dsl_image *image, const dsl_cancel_token *cancel,
                             float *out_grid, size_t grid_capacity, float *out_map, size_t map_capacity) {
    CALL(goSessionSelfMap, H(session), H(image), H(cancel), out_grid, grid_capacity, out_map, map_capacity);
}

int32_t dsl_session_activation_map(dsl_session *session, const dsl_image *image, const dsl_cancel_token *cancel,
                                   float *out_grid, size_t grid_capacity, float *out_map, size_t map_capacity) {
    CALL(goSessionActivationMap, H(session), H(image), H(cancel), out_grid, grid_capacity, out_map, map_capacity);
}

int32_t dsl_session_evaluate_masks(dsl_session *session, const dsl_dataset *dataset, const char *source,
                                   const char *split, const dsl_cancel_token *cancel, dsl_report **out_report) {
    CREATE(goSessionEvaluateMasks, out_report, H(session), H(dataset), (char *)source, (char *)split, H(cancel));
}

void dsl_session_free(dsl_session *session) { FREE(goSessionFree, session); }

/* ---- indexes and clusters ---- */

int32_t dsl_index_create(const dsl_model *model, int32_t embedding_dim, dsl_index **out_index) {
    CREATE(goIndexCreate, out_index, H(model), embedding_dim);
}

int32_t dsl_index_add(dsl_index *index, const float *embeddings, size_t num_rows, const char *const *ids,
                      const int64_t *int_ids, const int64_t *labels, const char *const *groups) {
    CALL(goIndexAdd, H(index), (float *)embeddings, num_rows, (char **)ids, (int64_t *)int_ids, (int64_t *)labels,
         (char **)groups);
}

int32_t dsl_index_search(const dsl_index *index, const float *queries, size_t num_queries, int32_t k,
                         const dsl_search_options *options, const dsl_cancel_token *cancel, int64_t *out_rows,
                         float *out_similarities, size_t capacity) {
    dsl_search_options copy;
    memset(&copy, 0, sizeof copy);
    if (options != NULL) {
        COPY(copy, options, "dsl_search_options");
    }
    CALL(goIndexSearch, H(index), (float *)queries, num_queries, k, &copy, H(cancel), out_rows, out_similarities,
         capacity);
}

int32_t dsl_index_check_model(const dsl_index *index, const dsl_model *model) {
    CALL(goIndexCheckModel, H(index), H(model));
}

int32_t dsl_index_size(const dsl_index *index, int64_t *out_num_rows) { CALL(goIndexSize, H(index), out_num_rows); }

int32_t dsl_index_item(const dsl_index *index, int64_t row, char *out_id, size_t id_capacity, char *out_group,
                       size_t group_capacity, int64_t *out_label) {
    CALL(goIndexItem, H(index), row, out_id, id_capacity, out_group, group_capacity, out_label);
}

int32_t dsl_index_info(const dsl_index *index, char *out_text, size_t capacity, size_t *out_needed) {
    CALL(goIndexInfo, H(index), out_text, capacity, out_needed);
}

int32_t dsl_index_save(const dsl_index *index, const char *path) { CALL(goIndexSave, H(index), (char *)path); }

int32_t dsl_index_load(const char *path, const dsl_model *model, dsl_index **out_index) {
    CREATE(goIndexLoad, out_index, (char *)path, H(model));
}

void dsl_index_free(dsl_index *index) { FREE(goIndexFree, index); }

int32_t dsl_cluster(const float *embeddings, size_t num_rows, int32_t embedding_dim, int32_t k,
                    const dsl_cluster_options *options, const dsl_cancel_token *cancel, int32_t *out_assignment,
                    size_t capacity, float *out_centres, size_t centres_capacity, double *out_inertia) {
    dsl_cluster_options copy;
    memset(&copy, 0, sizeof copy);
    if (options != NULL) {
        COPY(copy, options, "dsl_cluster_options");
    }
    CALL(goCluster, (float *)embeddings, num_rows, embedding_dim, k, &copy, H(cancel), out_assignment, capacity,
         out_centres, centres_capacity, out_inertia);
}

/* ---- training ---- */

int32_t dsl_train(const dsl_dataset *dataset, const dsl_train_options *options, const dsl_cancel_token *cancel,
                  dsl_report **out_report) {
    dsl_train_options copy;
    COPY(copy, options, "dsl_train_options");
    if (out_report != NULL) {
        CREATE(goTrain, out_report, H(dataset), &copy, H(cancel));
    }
    CALL(goTrain, H(dataset), &copy, H(cancel), NULL);
}
