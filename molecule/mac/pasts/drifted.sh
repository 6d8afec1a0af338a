# An older Homebrew and Miniforge, an environment with the user's own conda packages, and start-up files that are links.
sudo() { command sudo -S -p '' "$@" <<'PASSWORD'
sudo needs this
PASSWORD
}
sudo sh -c 'touch /tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress
softwareupdate -i "Command Line Tools for Xcode 26.2-26.2"
xcode-select --switch /Library/Developer/CommandLineTools
rm /tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress' >/dev/null
sudo sh -c 'mkdir -p /opt/homebrew && chown ana:admin /opt/homebrew'
git clone -q --branch 6.0.0 http://127.0.0.10:8422/brew.git /opt/homebrew 2>/dev/null
bash /opt/.sim/miniforge.sh -b -p ~/miniforge3 >/dev/null
mv ~/miniforge3/conda-meta/conda-26.3.2-py311_0.json ~/miniforge3/conda-meta/conda-24.11.3-py311_0.json
~/miniforge3/bin/conda create --prefix ~/miniforge3/envs/ml-m1 --yes --json --quiet \
    --override-channels -c conda-forge python=3.11 pip ffmpeg >/dev/null
mkdir -p ~/dotfiles
printf '# from my dotfiles\nalias gs="git status"\n' >~/dotfiles/zshrc
printf '# mine too\n' >~/dotfiles/zprofile
ln -sf dotfiles/zshrc ~/.zshrc
ln -sf dotfiles/zprofile ~/.zprofile
