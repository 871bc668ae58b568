/* Versions, status names, messages, option structs, NULL everywhere. */
#include "check.h"

static void versions(void) {
    CHECK(dsl_abi_version() == DSL_ABI_VERSION);
    CHECK(strcmp(dsl_version_string(), DSL_VERSION_STRING) == 0);
}

static void status_names(void) {
    CHECK(strcmp(dsl_status_name(DSL_STATUS_OK), "ok") == 0);
    CHECK(strcmp(dsl_status_name(DSL_STATUS_INTERNAL), "internal error") == 0);
    CHECK(strcmp(dsl_status_name(-1), "unknown status") == 0);
    CHECK(strcmp(dsl_status_name(INT32_MIN), "unknown status") == 0);
    for (int32_t a = 0; a <= DSL_STATUS_INTERNAL; a++) {
        for (int32_t b = 0; b < a; b++) {
            CHECK(strcmp(dsl_status_name(a), dsl_status_name(b)) != 0);
        }
    }
    CHECK(strcmp(dsl_status_name(DSL_STATUS_INTERNAL + 1), "unknown status") == 0);
}

static void messages(void) {
    dsl_model *model = (dsl_model *)1;
    CHECK_STATUS(dsl_model_load("/no/such/folder/missing.dsl", &model), DSL_STATUS_NOT_FOUND, "missing.dsl");
    CHECK(model == NULL);
    CHECK(strstr(dsl_last_error_message(), "/no/such") == NULL); /* paths can carry patient names */
    CHECK(dsl_set_num_threads(0) == DSL_STATUS_OK);
    CHECK(strcmp(dsl_last_error_message(), "") == 0);
    CHECK_STATUS(dsl_set_num_threads(-1), DSL_STATUS_INVALID, "-1");
    CHECK_STATUS(dsl_set_num_threads(1 << 30), DSL_STATUS_INVALID, "threads");
}

static void nulls(void) {
    dsl_image_free(NULL);
    dsl_dataset_free(NULL);
    dsl_model_free(NULL);
    dsl_session_free(NULL);
    dsl_report_free(NULL);
    dsl_cancel_token_cancel(NULL);
    dsl_cancel_token_free(NULL);
    dsl_struct_init(NULL, 8);

    int32_t i32;
    int64_t i64;
    dsl_image *image;
    dsl_dataset *dataset;
    dsl_model *model;
    dsl_session *session;
    CHECK_STATUS(dsl_cancel_token_create(NULL), DSL_STATUS_INVALID, "out_token");
    CHECK_STATUS(dsl_image_load_file(NULL, &image), DSL_STATUS_INVALID, "path");
    CHECK_STATUS(dsl_image_load_file("", &image), DSL_STATUS_INVALID, "path");
    CHECK_STATUS(dsl_image_load_file("a.png", NULL), DSL_STATUS_INVALID, "out_image");
    CHECK_STATUS(dsl_image_from_array(NULL, &image), DSL_STATUS_INVALID, "dsl_array");
    CHECK_STATUS(dsl_image_size(NULL, &i32, &i32), DSL_STATUS_INVALID, "image");
    CHECK_STATUS(dsl_image_pixels(NULL, NULL, 0), DSL_STATUS_INVALID, "image");
    CHECK_STATUS(dsl_dataset_open(NULL, &dataset), DSL_STATUS_INVALID, "path");
    CHECK_STATUS(dsl_dataset_open_lists(NULL, "b", "c", &dataset), DSL_STATUS_INVALID, "train_list");
    CHECK_STATUS(dsl_dataset_open_lists("a", NULL, "c", &dataset), DSL_STATUS_INVALID, "test_list");
    CHECK_STATUS(dsl_dataset_open_lists("a", "b", "", &dataset), DSL_STATUS_INVALID, "folder");
    CHECK_STATUS(dsl_dataset_open_lists("a", "b", "c", NULL), DSL_STATUS_INVALID, "out_dataset");
    CHECK_STATUS(dsl_dataset_manifest(NULL, NULL, 0, NULL), DSL_STATUS_INVALID, "dataset");
    CHECK_STATUS(dsl_dataset_create(NULL), DSL_STATUS_INVALID, "out_dataset");
    CHECK_STATUS(dsl_dataset_add(NULL, NULL, 0, NULL, NULL), DSL_STATUS_INVALID, "dataset");
    CHECK_STATUS(dsl_dataset_set_class_name(NULL, 0, "a"), DSL_STATUS_INVALID, "dataset");
    CHECK_STATUS(dsl_dataset_size(NULL, NULL, &i64), DSL_STATUS_INVALID, "dataset");
    CHECK_STATUS(dsl_model_load(NULL, &model), DSL_STATUS_INVALID, "path");
    CHECK_STATUS(dsl_model_load("a.dsl", NULL), DSL_STATUS_INVALID, "out_model");
    CHECK_STATUS(dsl_model_save(NULL, "a.dsl"), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_model_embedding_dim(NULL, &i32), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_model_num_learners(NULL, &i32), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_model_input_size(NULL, &i32), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_model_info(NULL, NULL, 0, NULL), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_report_json(NULL, NULL, 0, NULL), DSL_STATUS_INVALID, "report");
    CHECK_STATUS(dsl_session_create(NULL, NULL, &session), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_session_embed(NULL, NULL, 0, NULL, NULL, 0), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_embed_files(NULL, NULL, 0, NULL, NULL, 0), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_grid_size(NULL, NULL, &i32, &i32), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_heatmap(NULL, NULL, NULL, NULL, 0, NULL, 0), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_explain_pair(NULL, NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "dsl_explanation");
    CHECK_STATUS(dsl_session_evaluate(NULL, NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "out_report");
    CHECK_STATUS(dsl_dataset_set_mask(NULL, 0, NULL), DSL_STATUS_INVALID, "dataset");
    CHECK_STATUS(dsl_model_num_classes(NULL, NULL), DSL_STATUS_INVALID, "model");
    CHECK_STATUS(dsl_session_classify(NULL, NULL, 0, NULL, NULL, 0), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_class_map(NULL, NULL, 0, NULL, NULL, 0, NULL, 0, NULL), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_activation_map(NULL, NULL, NULL, NULL, 0, NULL, 0), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_self_map(NULL, NULL, NULL, NULL, 0, NULL, 0), DSL_STATUS_INVALID, "session");
    CHECK_STATUS(dsl_session_evaluate_masks(NULL, NULL, NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "out_report");
    CHECK_STATUS(dsl_train(NULL, NULL, NULL, NULL), DSL_STATUS_INVALID, "dsl_train_options");
}

static void struct_sizes(void) {
    dsl_train_options options;
    dsl_report *report = (dsl_report *)1;
    DSL_INIT(&options);
    CHECK(options.struct_size == sizeof options && options.seed == 0 && options.progress == NULL);
    CHECK_STATUS(dsl_train(NULL, &options, NULL, &report), DSL_STATUS_INVALID, "dataset: got NULL");
    CHECK(report == NULL);
    options.struct_size = 0; /* forgotten */
    CHECK_STATUS(dsl_train(NULL, &options, NULL, NULL), DSL_STATUS_INVALID, "DSL_INIT");
    dsl_array array;
    dsl_image *image = NULL;
    DSL_INIT(&array);
    array.reserved = 1;
    CHECK_STATUS(dsl_image_from_array(&array, &image), DSL_STATUS_ABI_MISMATCH, "reserved");

    dsl_dataset *dataset = NULL;
    CHECK_OK(dsl_dataset_create(&dataset));

    struct {
        dsl_train_options known;
        int64_t later; /* a member of a newer header */
    } newer;
    DSL_INIT(&newer);
    CHECK_STATUS(dsl_train(dataset, &newer.known, NULL, NULL), DSL_STATUS_INVALID, "out_path"); /* unset: no harm */
    newer.later = 1;
    CHECK_STATUS(dsl_train(dataset, &newer.known, NULL, NULL), DSL_STATUS_ABI_MISMATCH, "older library");
    dsl_dataset_free(dataset);
}

static void train_options(void) {
    dsl_dataset *dataset = NULL;
    dsl_train_options options;
    CHECK_OK(dsl_dataset_create(&dataset));
    DSL_INIT(&options);
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "out_path");
    options.out_path = "no-such-folder/m.dsl";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_NOT_FOUND, "m.dsl");
    options.out_path = ".";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "folder");
    options.out_path = "m.dsl";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "no images");
    options.backbone = "vgg";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "vgg");
    options.backbone = NULL;
    options.profile = "fast";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "fast");
    options.profile = NULL;
    options.device = "cuda:0"; /* the test's environment switches the driver off */
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_DEVICE, "DSL_CUDA_DRIVER=none");
    options.device = "gpu";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "gpu");
    options.device = NULL;
    options.precision = "f16";
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "f16");
    options.precision = "bf16"; /* not on a CPU */
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_UNSUPPORTED, "f32");
    options.precision = "int8"; /* not for training */
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_UNSUPPORTED, "calibrate");
    options.precision = NULL;
    options.learning_rate = -1;
    CHECK_STATUS(dsl_train(dataset, &options, NULL, NULL), DSL_STATUS_INVALID, "learning_rate");
    dsl_dataset_free(dataset);
}

static void devices(void) {
    int32_t n = 7;
    char text[8];
    CHECK_OK(dsl_device_count(&n));
    CHECK(n == 0);
    CHECK_STATUS(dsl_device_count(NULL), DSL_STATUS_INVALID, "out_num_devices");
    CHECK_STATUS(dsl_device_info(0, text, sizeof text, NULL), DSL_STATUS_DEVICE, "DSL_CUDA_DRIVER=none");
    CHECK_STATUS(dsl_cuda_add_library_dir(NULL), DSL_STATUS_INVALID, "folder");
    CHECK_OK(dsl_cuda_add_library_dir("/nowhere"));
}

/* Lists that the test writes: counts, the manifest's text, a small buffer. */
static void lists(void) {
    FILE *train = fopen("train.txt", "w");
    FILE *test = fopen("test.txt", "w");
    CHECK(train != NULL && test != NULL);
    fputs("image_id class_id path\n1 2 images/a.png\n2 1 images/b.png\n", train);
    fputs("image_id class_id path\n1 1 images/c.png\n", test);
    fclose(train);
    fclose(test);
    dsl_dataset *dataset = NULL;
    int64_t n = 0;
    size_t needed = 0;
    char text[256];
    CHECK_OK(dsl_dataset_open_lists("train.txt", "test.txt", "nowhere", &dataset));
    CHECK_OK(dsl_dataset_size(dataset, "test", &n));
    CHECK(n == 1);
    CHECK_STATUS(dsl_dataset_manifest(dataset, text, 10, &needed), DSL_STATUS_BUFFER_TOO_SMALL, "10");
    CHECK(needed > 10 && needed <= sizeof text);
    CHECK_OK(dsl_dataset_manifest(dataset, text, sizeof text, NULL));
    CHECK(strstr(text, "nowhere/images/a.png,1,class 2,,train,\n") != NULL);
    dsl_dataset_free(dataset);
    CHECK_STATUS(dsl_dataset_open_lists("train.txt", "train.txt", ".", &dataset), DSL_STATUS_INVALID, "a.png");
    CHECK_STATUS(dsl_dataset_open_lists("train.txt", "none.txt", ".", &dataset), DSL_STATUS_NOT_FOUND, "none.txt");
    CHECK_OK(dsl_dataset_create(&dataset));
    CHECK_STATUS(dsl_dataset_manifest(dataset, text, sizeof text, NULL), DSL_STATUS_INVALID, "no images");
    dsl_dataset_free(dataset);
}

int main(void) {
    devices();
    versions();
    status_names();
    messages();
    nulls();
    struct_sizes();
    train_options();
    lists();
    CHECK(dsl_live_handles() == 0);
    return finish();
}
