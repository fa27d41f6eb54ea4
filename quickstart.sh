#!/usr/bin/env bash
# The whole pipeline, small: two GANs that differ only in their seed, and a classifier that tells
# which of them made an image, or that it is real. Makes its own virtual environment (.venv).
#   bash quickstart.sh [OUTPUT_FOLDER]     default: quickstart_output
# About ten minutes on two CPU cores, of which one or two go into the installation.
set -eu
project=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-quickstart_output}
case $out in
    -h | --help) sed -n '2,5s|^# ||p' "${BASH_SOURCE[0]}"; exit ;;
esac
source "$project/.ci/setup_venv.sh"
[ ! -e "$out" ] || fail "$out: already exists; remove it, or name another folder: bash $0 FOLDER"
mkdir -p "$out" || fail "$out: cannot be made"
out=$(cd "$out" && pwd)
setup_venv "$project" requirements.txt
cd "$project"

step() { printf '\n== %s  [%d s]\n' "$*" "$SECONDS"; }
# The last N images of a folder move to another one, so that nobody trains on what is tested.
move_last() { mkdir -p "$3" && find "$1" -name '*.png' | sort | tail -n "$2" | xargs mv -t "$3"; }

step "Real images: 32x32 crops of photographs that come with the dependencies"
"$python" -m gan_fingerprints.sample_photos "$out/real" --num 3000 --size 32
move_last "$out/real" 300 "$out/test/real"
move_last "$out/real" 300 "$out/validation/real"
"$python" ProGAN/dataset_tool.py create_from_images "$out/datasets/real" "$out/real"
mkdir -p "$out/training" && ln -s ../real "$out/training/real"

for seed in 0 1; do
    step "ProGAN with seed $seed: training, then generating 3,000 images"
    "$python" ProGAN/run.py --app train --preset small --fmap_base 128 --fmap_max 32 \
        --total_kimg 40 --lod_training_kimg 5 --lod_transition_kimg 5 \
        --training_data_dir "$out/datasets/real" --out_model_dir "$out/models/ProGAN_seed_$seed" \
        --training_seed "$seed" >"$out/ProGAN_seed_$seed.settings"
    "$python" ProGAN/run.py --app gen --num_pngs 3000 \
        --model_path "$out/models/ProGAN_seed_$seed/network-final.safetensors" \
        --out_image_dir "$out/training/ProGAN_seed_$seed"
    move_last "$out/training/ProGAN_seed_$seed" 300 "$out/test/ProGAN_seed_$seed"
    move_last "$out/training/ProGAN_seed_$seed" 300 "$out/validation/ProGAN_seed_$seed"
done
"$python" -m gan_fingerprints.contact_sheet "$out/test" "$out/contact_sheet.png"

step "Data sets for the classifier, with the data audit"
"$python" classifier/data_preparation.py --in_dir "$out/validation" --out_dir "$out/datasets/validation"
"$python" classifier/data_preparation.py --in_dir "$out/training" --out_dir "$out/datasets/training" \
    --against "$out/datasets/validation"

step "The classifier: training"
"$python" classifier/run.py --app train --fmap_base 256 --mirror 0 --total_kimg 120 \
    --accuracy_images 600 --snapshots 0 \
    --training_data_dir "$out/datasets/training" --validation_data_dir "$out/datasets/validation" \
    --out_model_dir "$out/models/classifier" --training_seed 0 >"$out/classifier.settings"

step "The classifier: 900 images that nothing was trained on"
"$python" classifier/run.py --app test --testing_data_path "$out/test" \
    --model_path "$out/models/classifier/network-final.safetensors" --out_csv "$out/results.csv" \
    --out_confusion "$out/confusion_matrix.png" >"$out/test.log"
grep -v '^Classifying' "$out/test.log"

cat <<END

Finished in $((SECONDS / 60)) min $((SECONDS % 60)) s. Look at
  $out/contact_sheet.png       samples of each source
  $out/confusion_matrix.png    who was taken for whom
  $out/results.csv             the probabilities of every test image
  $out/models/                 networks, logs, pictures; tensorboard --logdir shows the curves
Attribute an image of yours:
  $python $project/classifier/run.py --app test \\
      --model_path $out/models/classifier/network-final.safetensors --testing_data_path IMAGE
END
