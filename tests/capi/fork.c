/* A child of fork() gets an error from every call at once, never a hang; frees are harmless; the parent goes on. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static dsl_image *image;

#define FORKED(call) CHECK_STATUS(call, DSL_STATUS_FORKED, "spawn")

static int child(void) {
    int32_t i32;
    int64_t i64;
    dsl_array array;
    dsl_explanation explanation;
    dsl_session_options session_options;
    dsl_train_options train_options;
    dsl_cancel_token *token;
    dsl_image *made;
    dsl_dataset *dataset;
    dsl_model *model;
    dsl_session *session;
    dsl_report *report;
    dsl_index *index;
    DSL_INIT(&array);
    DSL_INIT(&explanation);
    DSL_INIT(&session_options);
    DSL_INIT(&train_options);
    alarm(20); /* a hang kills the child */
    failures = checks = 0;
    FORKED(dsl_set_num_threads(1));
    FORKED(dsl_device_count(&i32));
    FORKED(dsl_device_info(0, NULL, 0, NULL));
    FORKED(dsl_cuda_add_library_dir("/nowhere"));
    FORKED(dsl_cancel_token_create(&token));
    FORKED(dsl_image_load_file("a.png", &made));
    FORKED(dsl_image_from_array(&array, &made));
    FORKED(dsl_image_size(image, &i32, &i32));
    FORKED(dsl_image_pixels(image, NULL, 0));
    FORKED(dsl_dataset_open("a.csv", &dataset));
    FORKED(dsl_dataset_open_lists("a.txt", "b.txt", "c", &dataset));
    FORKED(dsl_dataset_manifest(NULL, NULL, 0, NULL));
    FORKED(dsl_dataset_create(&dataset));
    FORKED(dsl_dataset_add(NULL, image, 0, NULL, NULL));
    FORKED(dsl_dataset_set_class_name(NULL, 0, "a"));
    FORKED(dsl_dataset_size(NULL, NULL, &i64));
    FORKED(dsl_model_load("a.dsl", &model));
    FORKED(dsl_model_save(NULL, "a.dsl"));
    FORKED(dsl_model_embedding_dim(NULL, &i32));
    FORKED(dsl_model_num_learners(NULL, &i32));
    FORKED(dsl_model_input_size(NULL, &i32));
    FORKED(dsl_model_info(NULL, NULL, 0, NULL));
    FORKED(dsl_report_json(NULL, NULL, 0, NULL));
    FORKED(dsl_session_create(NULL, &session_options, &session));
    FORKED(dsl_session_embed(NULL, NULL, 0, NULL, NULL, 0));
    FORKED(dsl_session_embed_files(NULL, NULL, 0, NULL, NULL, 0));
    FORKED(dsl_session_grid_size(NULL, image, &i32, &i32));
    FORKED(dsl_session_heatmap(NULL, image, NULL, NULL, 0, NULL, 0));
    FORKED(dsl_session_explain_pair(NULL, image, image, NULL, &explanation));
    FORKED(dsl_session_evaluate(NULL, NULL, NULL, NULL, &report));
    FORKED(dsl_dataset_set_mask(NULL, 0, NULL));
    FORKED(dsl_model_num_classes(NULL, NULL));
    FORKED(dsl_session_classify(NULL, NULL, 0, NULL, NULL, 0));
    FORKED(dsl_session_class_map(NULL, NULL, 0, NULL, NULL, 0, NULL, 0, NULL));
    FORKED(dsl_model_calibrate(NULL, NULL, NULL, NULL, &model));
    FORKED(dsl_session_activation_map(NULL, NULL, NULL, NULL, 0, NULL, 0));
    FORKED(dsl_session_self_map(NULL, NULL, NULL, NULL, 0, NULL, 0));
    FORKED(dsl_session_evaluate_masks(NULL, NULL, NULL, NULL, NULL, &report));
    FORKED(dsl_index_create(NULL, 2, &index));
    FORKED(dsl_index_add(NULL, NULL, 0, NULL, NULL, NULL, NULL));
    FORKED(dsl_index_search(NULL, NULL, 0, 1, NULL, NULL, NULL, NULL, 0));
    FORKED(dsl_index_check_model(NULL, NULL));
    FORKED(dsl_index_size(NULL, &i64));
    FORKED(dsl_index_item(NULL, 0, NULL, 0, NULL, 0, NULL));
    FORKED(dsl_index_info(NULL, NULL, 0, NULL));
    FORKED(dsl_index_save(NULL, "a.dsl"));
    FORKED(dsl_index_load("a.dsl", NULL, &index));
    FORKED(dsl_cluster(NULL, 0, 2, 1, NULL, NULL, NULL, 0, NULL, 0, NULL));
    FORKED(dsl_train(NULL, &train_options, NULL, NULL));
    CHECK(dsl_abi_version() == DSL_ABI_VERSION);
    CHECK(strcmp(dsl_status_name(DSL_STATUS_FORKED), "used after fork") == 0);
    CHECK(dsl_live_handles() == 0);
    dsl_image_free(image);
    return failures;
}

int main(void) {
    static const uint8_t pixel;
    dsl_array a;
    int32_t h = 0, w = 0;
    DSL_INIT(&a);
    a.data = &pixel;
    a.data_size_bytes = a.height = a.width = a.channels = 1;
    CHECK_OK(dsl_image_from_array(&a, &image));
    for (int i = 0; i < 10; i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0) {
            _exit(child());
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK_OK(dsl_image_size(image, &h, &w));
    dsl_image_free(image);
    return finish();
}
