# The course followed by hand, some of it twice: its echo lines doubled, and numpy replaced by a newer one. Between them
# lines of the user's own, some of them much like the course's.
sudo() { command sudo -S -p '' "$@" <<'PASSWORD'
sudo needs this
PASSWORD
}
sudo sh -c 'touch /tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress
softwareupdate -i "Command Line Tools for Xcode 26.2-26.2"
xcode-select --switch /Library/Developer/CommandLineTools
rm /tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress' >/dev/null
sudo sh -c 'mkdir -p /opt/homebrew && chown ana:admin /opt/homebrew'
git clone -q http://127.0.0.10:8422/brew.git /opt/homebrew 2>/dev/null
printf 'setopt autocd\n' >~/.zshrc
# shellcheck disable=SC2016  # The line is meant as it stands.
for _ in 1 2; do echo 'eval "$(/opt/homebrew/bin/brew shellenv)"' | tee -a ~/.zshrc >>~/.zprofile; done
chmod 600 ~/.zshrc
/opt/homebrew/bin/brew install --cask miniforge
conda=/opt/homebrew/Caskroom/miniforge/base/bin/conda
"$conda" init zsh >/dev/null
"$conda" create --prefix /opt/homebrew/Caskroom/miniforge/base/envs/ml-m1 --yes --json --quiet \
    --override-channels -c conda-forge python=3.11 pip htop >/dev/null
echo 'conda activate ml-m1' >>~/.zshrc
cat >>~/.zshrc <<'ZSHRC'
# conda activate ml-m1
work() {
    conda activate ml-m1
}
ZSHRC
echo 'conda activate ml-m1' >>~/.zshrc
mkdir ~/as-it-was
cp -p ~/.zshrc ~/.zprofile ~/as-it-was
# What pip leaves of another numpy, as far as it is looked at.
site=/opt/homebrew/Caskroom/miniforge/base/envs/ml-m1/lib/python3.11/site-packages
mkdir -p "$site/numpy" "$site/numpy-2.3.5.dist-info"
: >"$site/numpy/__init__.py"
printf 'Metadata-Version: 2.4\nName: numpy\nVersion: 2.3.5\n' >"$site/numpy-2.3.5.dist-info/METADATA"
printf 'numpy/__init__.py,,\nnumpy-2.3.5.dist-info/METADATA,,\nnumpy-2.3.5.dist-info/RECORD,,\n' >"$site/numpy-2.3.5.dist-info/RECORD"
